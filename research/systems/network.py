"""One single network by one protocol: each part trained and predicted as a step, then the figures of all parts."""

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl

from data.files import atomic
from data.readers import READERS
from data.readers.reading import ToldColumns
from image_models.recipe import ImageModelRecipe, deciding_settings
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime
from pipeline.seeds import derive
from pipeline.stage_two import PREDICTIONS
from pipeline.step import Need, Step, Work
from pipeline.steps.lesions import training_lesions
from pipeline.steps.metadata import fit_metadata
from research.systems.comparison import Comparison
from research.systems.forms import at_most, fast_form, full_form
from research.systems.protocols import Division, Ints, Part, ProtocolName, divide
from research.systems.registry import System
from research.systems.scored import Scored

if TYPE_CHECKING:
    from image_models.lesions import Lesions


@dataclass(frozen=True, eq=False)
class TrainPart(Work):
    """The training of a network on a part of its protocol, and what it says of the part's test rows."""

    verb: ClassVar[str] = "compare"
    stage: ClassVar[str] = "systems"
    batch: ClassVar[str] = "systems"

    model: ImageModelRecipe
    part: Part
    seed: int
    late_columns: tuple[str, ...]
    """Columns that are refused elsewhere, because only a diagnosis gives them."""
    lesions: "Lesions"
    label: str

    def do(self, step: Step, inputs: Inputs, runtime: Runtime) -> None:
        """Train, predict, measure."""
        from image_models.predict import predict
        from image_models.training.train import MODEL_FILE, FoldTask, Places, train_fold
        from research.systems.scored import cost_of

        model, part, train = self.model, self.part, inputs.data.train
        attempt = step.begin()
        open_train = dataclasses.replace(train, forbidden=train.forbidden - set(self.late_columns))
        lesions = fit_metadata(model, open_train, np.unique(part.train), step.folder, self.lesions)
        with runtime.display.task(self.label) as progress:
            trained = train_fold(
                FoldTask(model, lesions, part.train, self.seed, step.fingerprint, part.validation),
                Places(step.folder, runtime.weights_dir, runtime.cache_dir),
                progress=progress,
            )
            rows, times = np.unique(part.test, return_counts=True)
            probability = predict(trained.network, model, lesions, rows, cache_dir=runtime.cache_dir, progress=progress)
        columns = {f"p{i}": probability[:, i] for i in range(probability.shape[1])}
        with atomic(step.folder / PREDICTIONS) as temporary:
            pl.DataFrame({"row": rows, "times": times, **columns}).write_parquet(temporary)
        cost = cost_of(trained.network, model.input_size, sees_images=model.backbone != "none")
        # The comparison keeps figures, not weights: the recipe trains a network that is to be kept.
        (step.folder / MODEL_FILE).unlink()
        attempt.finish(
            [PREDICTIONS],
            training=trained.report.as_dict(),
            cost=dataclasses.asdict(cost),
            shared_rows=part.shared_rows,
            shared_lesions=part.shared_lesions(train.groups),
            pretrained=model.pretrained,
        )


@dataclass(frozen=True)
class NetworkRun:
    """A network by a protocol, on a view of a data set."""

    view: Inputs
    system: System
    protocol: ProtocolName
    comparison: Comparison

    @property
    def columns(self) -> ToldColumns:
        """What the data set knows beside the images."""
        return READERS[self.view.run.recipe.data.reader].told_columns

    @cached_property
    def division(self) -> Division:
        """The protocol's parts; the same for all systems that are divided alike."""
        return divide(
            self.system,
            self.protocol,
            self.view.data.train,
            self.view.folds,
            self.columns,
            seed=self.view.run.recipe.seed,
            fast=self.comparison.fast,
        )

    @cached_property
    def model(self) -> ImageModelRecipe:
        """The network as it is trained here."""
        full = full_form(self.system, self.columns.site, self.division.columns, self.protocol)
        if self.comparison.fast:
            return fast_form(full, self.system, self.view.runtime.weights_dir)
        return at_most(full, self.comparison.largest)

    def run(self, label: str) -> Scored:
        """Train and predict the parts that are not done; give what all of them said of their test rows."""
        view, steps = self.view, self.steps(training_lesions(self.view), label)
        for step in steps:
            if step.stale_reason() is not None:
                step.work.do(step, view, view.runtime)
        return self.scored(steps)

    def steps(self, lesions: "Lesions", label: str) -> list[Step]:
        """The training of every part and everything its result depends on."""
        run, facts, parts = self.view.run, self.view.facts, self.division.parts
        settings = deciding_settings(self.model)
        known = {"run_seed": run.recipe.seed, "protocol": self.protocol, "fast": self.comparison.fast}
        images = () if self.model.backbone == "none" else (Need("train images", facts.train_images or ""),)
        return [
            Step(
                kind="part",
                key=(self.system.name, self.protocol, number),
                name=f"{self.system.name}, {self.protocol}, part {number}",
                folder=run.folder / self.system.name / f"part_{number}",
                work=TrainPart(
                    self.model,
                    part,
                    # One for both protocols: they start from the same weights, and frozen networks share their vectors.
                    derive(run.recipe.seed, self.system.name),
                    self.columns.after_diagnosis if self.protocol == "published" else (),
                    lesions,
                    f"{label}: part {number + 1} of {len(parts)}",
                ),
                settings={**settings, **known},
                needs=(Need("train table", facts.train_table), Need("rows", rows_checksum(part)), *images),
            )
            for number, part in enumerate(parts)
        ]

    def scored(self, steps: list[Step]) -> Scored:
        """Predictions and cost of the finished parts."""
        reports = [step.report() or {} for step in steps]
        frame = pl.concat([pl.read_parquet(step.folder / PREDICTIONS) for step in steps])
        times = frame["times"].to_numpy()
        return Scored(
            rows=np.repeat(frame["row"].to_numpy(), times).astype(np.int64),
            probability=np.repeat(frame.select(pl.col("^p[0-9]+$")).to_numpy(), times, axis=0).astype(np.float64),
            shared_rows=float(np.mean([report["shared_rows"] for report in reports])),
            shared_lesions=float(np.mean([report["shared_lesions"] for report in reports])),
            cost=cost_figures(reports),
            setting=self._setting(),
            progress=tuple(reports[0]["training"]["epochs"]),
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
    digest = hashlib.sha256()
    for rows in (part.train, part.validation, part.test):
        given: Ints = np.empty(0, np.int64) if rows is None else rows
        digest.update(f"{len(given)} ".encode() + np.ascontiguousarray(given, dtype=np.int64).tobytes())
    return digest.hexdigest()
