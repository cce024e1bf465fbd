"""What each image model costs and how it trained: size, operations, time per image, curves, scores by fold."""

import statistics
import time
from typing import Any

from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import ImageModelRecipe
from pipeline.report.finished import FinishedRun

TIMED_SECONDS = 2.0
"""At most this long is one model timed; a mean over seconds is steadier than a fixed count of images."""
TIMED_IMAGES = 30


def networks(run: FinishedRun) -> list[dict[str, Any]]:
    """One entry per image model of the recipe."""
    return [
        {
            "name": model.name,
            "backbone": model.backbone,
            "image_size_px": model.image_size,
            **cost(model, len(run.task.classes), metadata_of(run, model)),
            "seconds": sum(fold["seconds"] for fold in folds),
            "images_per_second": statistics.fmean(fold["images_per_second"] for fold in folds),
            "folds": folds,
        }
        for model in run.space.recipe.image_models
        if (folds := folds_of(run, model.name))
    ]


def folds_of(run: FinishedRun, name: str) -> list[dict[str, Any]]:
    """Score, time and curve of every fold model."""
    entries = []
    for job in (job for job in run.image_jobs if job.model.name == name):
        report = job.step.report() or {}
        training, scores = report["training"], report["scores"]
        entries.append(
            {
                "fold": job.left_out[0],
                "score": scores.get(run.task.score, {}).get("estimate"),
                "seconds": training["seconds"],
                "images_per_second": training["images_per_second"],
                "peak_memory_mb": training["peak_memory_bytes"] / 2**20,
                "device": training["device"],
                "precision": training["precision"],
                "selected_epoch": training["selected_epoch"],
                "loss": [epoch["loss"] for epoch in training["epochs"]],
                "inner_score": [epoch["inner_score"] for epoch in training["epochs"]],
            }
        )
    return entries


def metadata_of(run: FinishedRun, model: ImageModelRecipe) -> MetadataShape | None:
    """What a model is told beside images, by the first of its files; None for images alone."""
    from image_models.networks.model_file import read_metadata_shape

    if not model.metadata.columns:
        return None
    return read_metadata_shape(next(job.weights_path for job in run.image_jobs if job.model.name == model.name))


def cost(model: ImageModelRecipe, classes: int, metadata: MetadataShape | None = None) -> dict[str, Any]:
    """Parameters, megabytes, operations, and milliseconds for one image on one thread of this machine."""
    import dataclasses

    import torch

    from image_models.networks.cost import blank_inputs, describe
    from image_models.networks.zoo import build

    network = build(dataclasses.replace(model, pretrained="none"), classes, metadata=metadata).eval()
    facts = describe(network, model.input_size)
    inputs = blank_inputs(network, model.input_size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            network(*inputs)
            times: list[float] = []
            while len(times) < TIMED_IMAGES and sum(times) < TIMED_SECONDS:
                started = time.perf_counter()
                network(*inputs)
                times.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)
    return {
        "parameters": facts.parameters,
        "megabytes": facts.megabytes,
        "gflops": facts.gflops,
        "milliseconds_per_image": 1000.0 * statistics.median(times),
    }
