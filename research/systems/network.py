"""One single network by one protocol: each part trained and predicted as a step, then the figures of all parts."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pipeline.workspace import Workspace

from data.files import atomic
from image_models.recipe import ImageModelRecipe, deciding_settings
from pipeline.run import Step
from pipeline.seeds import derive
from pipeline.steps.metadata import fit_metadata
from research.systems.protocols import Division, Ints, Part, ProtocolName, allowed, divide
from research.systems.registry import System
from research.systems.scored import Scored
from research.systems.told import TOLD, Told

if TYPE_CHECKING:
    from image_models.lesions import Lesions


def full_form(system: System, told: Told, columns: tuple[str, ...], protocol: ProtocolName) -> ImageModelRecipe:
    """The network of the system's recipe, told what this data set and protocol allow."""
    model = dataclasses.replace(system.network, name=system.name)
    if system.balance:  # the protocol has balanced the rows already
        model = dataclasses.replace(model, sampling="all")
    if protocol == "published" and system.source == "S5":
        model = dataclasses.replace(model, select="last", stop_after=0)
    if not model.metadata.columns:
        return model
    return dataclasses.replace(
        model,
        metadata=dataclasses.replace(model.metadata, columns=columns),
        site_column=told.site if model.site_column else "",
    )


def at_most(model: ImageModelRecipe, largest: int) -> ImageModelRecipe:
    """The network on images no larger than `largest`; two sizes keep their proportion."""
    if not largest or model.input_size <= largest:
        return model
    share = largest / model.input_size
    second = model.second_image_size
    return dataclasses.replace(
        model,
        image_size=round(model.image_size * share),
        second_image_size=round(second * share) if second else 0,
    )


def fast_form(model: ImageModelRecipe, system: System, weights_dir: Path) -> ImageModelRecipe:
    """The same network on smaller images for a few epochs, from the weights that are there, else from random ones."""
    from image_models.networks.weights import local_path

    fast, size = system.fast, system.fast.image_size
    second = 0
    if model.second_image_size:
        # The second size keeps its proportion to the first.
        second = size
        size = size * model.image_size // model.second_image_size
    there = model.pretrained != "timm" or local_path(model, weights_dir).is_file()
    return dataclasses.replace(
        model,
        image_size=size,
        second_image_size=second,
        epochs=fast.epochs,
        batch_size=min(model.batch_size, 64) if model.batch_size >= 32 else 16,
        accumulate=1,
        learning_rate=fast.learning_rate,
        minimum_learning_rate=1e-6,
        warmup_ratio=0.05,
        schedule="cosine",
        cosine_steps=0,
        select="last",
        stop_after=0,
        pretrained=model.pretrained if there else "none",
        precision="fp32",  # measuring which format is fastest takes longer than so short a fit gains
    )


@dataclass(frozen=True)
class NetworkJob:
    """A network, a protocol and the data set of a run."""

    space: Workspace
    system: System
    protocol: ProtocolName
    fast: bool
    largest: int = 0
    """Side in pixels that no network exceeds; 0 leaves the recipes' sizes."""

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.system.name}, {self.protocol}"

    @property
    def folder(self) -> Path:
        """Where it lives."""
        return self.space.run_dir / self.system.name

    @cached_property
    def told(self) -> Told:
        """Columns of the data set."""
        return TOLD.get(self.space.recipe.data.reader, Told(()))

    @cached_property
    def division(self) -> Division:
        """The protocol's parts; the same for all systems that are divided alike."""
        space = self.space
        return divide(
            self.system, self.protocol, space.data.train, space.folds, self.told, seed=space.recipe.seed, fast=self.fast
        )

    @cached_property
    def model(self) -> ImageModelRecipe:
        """The network as it is trained here."""
        full = full_form(self.system, self.told, self.division.columns, self.protocol)
        return fast_form(full, self.system, self.space.weights_dir) if self.fast else at_most(full, self.largest)

    @cached_property
    def seed(self) -> int:
        """One for both protocols: they start from the same weights, and frozen networks share their vectors."""
        return derive(self.space.recipe.seed, self.system.name)

    def step(self, number: int) -> Step:
        """The training of one part and everything its result depends on."""
        space, part = self.space, self.division.parts[number]
        settings = deciding_settings(self.model)
        inputs = {"train table": space.data.train.fingerprint, "rows": rows_checksum(part)}
        if self.model.backbone != "none":
            inputs["train images"] = space.pack_fingerprint(space.train_images, space.data.train.ids)
        return Step(
            name=f"{self.title}, part {number}",
            folder=self.folder / f"part_{number}",
            settings={**settings, "run_seed": space.recipe.seed, "protocol": self.protocol, "fast": self.fast},
            inputs=inputs,
        )

    def run(self, lesions: "Lesions", label: str) -> Scored:
        """Train and predict the parts that are not done; give what all of them said of their test rows."""
        for number in range(len(self.division.parts)):
            step = self.step(number)
            if step.why() is not None:
                self._train(number, step, lesions, label)
        return self.scored()

    def _train(self, number: int, step: Step, lesions: "Lesions", label: str) -> None:
        from image_models.predict import predict
        from image_models.training.train import MODEL_FILE, FoldTask, Places, train_fold
        from research.systems.cost import cost_of

        space, part = self.space, self.division.parts[number]
        step.begin()
        told = allowed(space.data.train, self.told.after_diagnosis if self.protocol == "published" else ())
        lesions = fit_metadata(self.model, told, np.unique(part.train), step.folder, lesions)
        if self.model.backbone == "none":
            lesions = dataclasses.replace(lesions, present=np.ones(len(lesions), dtype=np.bool_))
        with space.display.task(f"{label}: part {number + 1} of {len(self.division.parts)}") as progress:
            trained = train_fold(
                FoldTask(self.model, lesions, part.train, self.seed, step.fingerprint, part.validation),
                Places(step.folder, space.weights_dir, space.cache_dir),
                progress=progress,
            )
            network, training = trained.network, trained.report
            rows, times = np.unique(part.test, return_counts=True)
            probability = predict(network, self.model, lesions, rows, cache_dir=space.cache_dir, progress=progress)
        columns = {f"p{i}": probability[:, i] for i in range(probability.shape[1])}
        with atomic(step.folder / "predictions.parquet") as temporary:
            pl.DataFrame({"row": rows, "times": times, **columns}).write_parquet(temporary)
        cost = cost_of(network, self.model.input_size, sees_images=self.model.backbone != "none")
        # The comparison keeps figures, not weights: the recipe trains a network that is to be kept.
        (step.folder / MODEL_FILE).unlink()
        step.finish(
            ["predictions.parquet"],
            training=training.as_dict(),
            cost=dataclasses.asdict(cost),
            shared_rows=part.shared_rows,
            shared_lesions=part.shared_lesions(space.data.train.groups),
            pretrained=self.model.pretrained,
        )

    def scored(self) -> Scored:
        """Predictions and cost of the finished parts."""
        frames, reports = [], []
        for number in range(len(self.division.parts)):
            step = self.step(number)
            report = step.report()
            assert report is not None
            reports.append(report)
            frames.append(pl.read_parquet(step.folder / "predictions.parquet"))
        frame = pl.concat(frames)
        return Scored(
            rows=np.repeat(frame["row"].to_numpy(), frame["times"].to_numpy()).astype(np.int64),
            probability=np.repeat(
                frame.select(pl.col("^p[0-9]+$")).to_numpy(), frame["times"].to_numpy(), axis=0
            ).astype(np.float64),
            shared_rows=float(np.mean([report["shared_rows"] for report in reports])),
            shared_lesions=float(np.mean([report["shared_lesions"] for report in reports])),
            cost=cost_figures(reports),
            setting=self._setting(),
        )

    def _setting(self) -> str:
        """What was run, in a few words."""
        model, part = self.model, self.division.parts[0]
        sizes = " and ".join(str(branch.image_size) for branch in model.image_branches())
        weights = {"none": "random weights", "timm": "ImageNet weights"}.get(model.pretrained, model.pretrained)
        images = f"{sizes} px, {weights}, " if sizes else ""
        return f"{images}{model.epochs} epochs x {len(part.train):,} rows"


def cost_figures(reports: list[dict[str, Any]]) -> dict[str, float]:
    """Size and speed of a network, from the reports of its parts."""
    epochs = [epoch["seconds"] for report in reports for epoch in report["training"]["epochs"]]
    return {**reports[0]["cost"], "seconds_per_epoch": float(np.mean(epochs))}


def rows_checksum(part: Part) -> str:
    """Checksum of a part's rows."""
    import hashlib

    digest = hashlib.sha256()
    for rows in (part.train, part.validation, part.test):
        given: Ints = np.empty(0, np.int64) if rows is None else rows
        digest.update(f"{len(given)} ".encode() + np.ascontiguousarray(given, dtype=np.int64).tobytes())
    return digest.hexdigest()
