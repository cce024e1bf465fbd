"""What each image model costs and how it trained: size, operations, time per image, curves, scores by fold."""

import dataclasses
import statistics
from typing import Any

from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe
from pipeline.report.finished import FinishedRun
from pipeline.step import Step
from pipeline.steps.fold_model import WEIGHTS, fold_model_of


def networks(finished: FinishedRun) -> list[dict[str, Any]]:
    """One entry per image model of the recipe."""
    entries, score = [], finished.task.score
    for model in finished.recipe.image_models:
        steps = [step for step in finished.plan.fold_models if step.key[0] == model.name]
        folds = [fold_figures(step, score) for step in steps]
        entries.append(
            {
                "name": model.name,
                "backbone": model.backbone,
                "image_size_px": model.image_size,
                **cost(model, len(finished.task.classes), metadata_of(model, steps[0])),
                "seconds": sum(fold["seconds"] for fold in folds),
                "images_per_second": statistics.fmean(fold["images_per_second"] for fold in folds),
                "folds": folds,
            }
        )
    return entries


def fold_figures(step: Step, score: str) -> dict[str, Any]:
    """Score, time and curve of one fold model."""
    report = step.report() or {}
    training = report["training"]
    return {
        "fold": fold_model_of(step).left_out[0],
        "score": report["scores"].get(score, {}).get("estimate"),
        "seconds": training["seconds"],
        "images_per_second": training["images_per_second"],
        "peak_memory_mb": training["peak_memory_bytes"] / 2**20,
        "device": training["device"],
        "precision": training["precision"],
        "selected_epoch": training["selected_epoch"],
        "loss": [epoch["loss"] for epoch in training["epochs"]],
        "inner_score": [epoch["inner_score"] for epoch in training["epochs"]],
    }


def metadata_of(model: ImageModelRecipe, step: Step) -> MetadataShape | None:
    """What a model is told beside images, by the file of one of its folds; None for images alone."""
    from image_models.networks.model_file import read_metadata_shape

    return read_metadata_shape(step.folder / WEIGHTS) if model.metadata.columns else None


def cost(model: ImageModelRecipe, classes: int, metadata: MetadataShape | None = None) -> dict[str, Any]:
    """Parameters, megabytes, operations, and milliseconds for one image on one thread of this machine."""
    from image_models.networks.cost import describe, milliseconds_per_image
    from image_models.networks.zoo import build

    network = build(dataclasses.replace(model, pretrained="none"), classes, metadata=metadata).eval()
    return {
        **dataclasses.asdict(describe(network, model.input_size)),
        "milliseconds_per_image": milliseconds_per_image(network, model.input_size),
    }
