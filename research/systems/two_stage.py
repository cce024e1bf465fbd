"""The two stages together by one protocol: the ordinary run, on folds by image (published) or by lesion (sound).

The authors do not say how they divided HAM10000 or PH2; folds by image are what a reading without a word about lesions
gives. The run lives in a folder of its own and is continued like any other.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pipeline.steps.oof import fold_models, run_oof
from pipeline.steps.tabular import run_tabular
from pipeline.workspace import Workspace

from data.cohort import Cohort, DataFolder
from data.files import fingerprint
from image_models.recipe import ImageModelRecipe
from pipeline.recipe import Recipe, load_recipe
from pipeline.run import hold
from research.systems.network import fast_form
from research.systems.protocols import ProtocolName
from research.systems.registry import SYSTEMS, Fast, System
from research.systems.scored import Scored
from research.systems.told import told_columns

FAST_NETWORKS = (
    ("own_mobilenetv2", Fast(64, 3, 0, 5e-4)),
    ("own_mobilenetv2_frozen", Fast(112, 40, 0, 1e-3)),
)
"""What stands in for the three large networks on a CPU: the one with pretrained weights at hand, twice."""


@dataclass(frozen=True)
class TwoStageJob:
    """Both stages, a protocol and the data set of a run."""

    space: Workspace
    system: System
    protocol: ProtocolName
    fast: bool

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.system.name}, {self.protocol}"

    def run(self, lesions: object, label: str) -> Scored:
        """Run what is missing of both stages; the sound fast form is scored on the fold of the other systems."""
        run = self.workspace()
        with hold(run.run_dir):
            run.record_recipe()
            run.display.say(f"{label}: both stages, {run.folds.count} folds")
            run_oof(run)
            run_tabular(run)
        return self.scored(run)

    def workspace(self) -> Workspace:
        """The run of its own."""
        space = self.space
        run = Workspace(
            recipe=self.recipe(),
            run_dir=space.run_dir / self.system.name,
            cache_dir=space.cache_dir,
            weights_dir=space.weights_dir,
            display=space.display,
            data_dir=space.data_dir,
        )
        run.data = by_image(space.data) if self.protocol == "published" else space.data
        return run

    def recipe(self) -> Recipe:
        """The system's recipe on the data set of the comparison."""
        outer, own = self.space.recipe, load_recipe(recipe_name(self.system, self.space.recipe))
        told = told_columns(outer.data.reader)
        models = own.image_models
        if self.fast:
            by_name = {system.name: system for system in SYSTEMS}
            models = tuple(_fast(by_name[name], fast, self.space.weights_dir) for name, fast in FAST_NETWORKS)
        return own.model_copy(
            update={
                "seed": outer.seed,
                "data": outer.data,
                "folds": outer.folds,
                "image_models": models,
                "features": own.features.model_copy(update={"extra_columns": told.columns}),
                "tabular": own.tabular.model_copy(update={"resample": resample_of(own, self.space.data.train)}),
            }
        )

    def scored(self, run: Workspace) -> Scored:
        """The blend's out-of-fold probabilities."""
        frame = pl.read_parquet(run.run_dir / "tabular" / "oof.parquet")
        columns = [name for name in frame.columns if name.partition(":")[0] == "blend"]
        rows = np.arange(frame.height)
        if self.fast and self.protocol == "sound":
            rows = run.folds.validation_rows(0)
        probability = frame.select(pl.col(columns).cast(pl.Float64).fill_null(np.nan)).to_numpy()[rows]
        shared = divided_lesions(self.space.data.train.groups, run.folds.fold)[rows].mean()
        return Scored(rows.astype(np.int64), probability, 0.0, float(shared), network_costs(run), self._setting(run))

    def _setting(self, run: Workspace) -> str:
        networks = ", ".join(f"{model.name} at {model.image_size} px" for model in run.recipe.image_models)
        return f"{networks}; {len(run.recipe.tabular.members)} boosters; {run.folds.count} folds"


def divided_lesions(groups: npt.NDArray[np.str_], fold: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """For each row, whether another fold holds rows of its lesion."""
    _, code = np.unique(groups, return_inverse=True)
    lowest = np.full(code.max() + 1, fold.max())
    highest = np.zeros(code.max() + 1, dtype=fold.dtype)
    np.minimum.at(lowest, code, fold)
    np.maximum.at(highest, code, fold)
    return np.asarray((lowest < highest)[code])


def _fast(system: System, fast: Fast, weights_dir: Path) -> ImageModelRecipe:
    model = fast_form(system.network, dataclasses.replace(system, fast=fast), weights_dir)
    return dataclasses.replace(model, name=system.model)


def recipe_name(system: System, outer: Recipe) -> str:
    """PH2 has a recipe of its own: 80 epochs in batches of 64."""
    return "s1_ph2" if outer.data.reader.startswith("ph2") else system.recipe


def resample_of(own: Recipe, cohort: Cohort) -> object:
    """Class weights are for more than two classes, other methods for two."""
    method = "class_weights" if len(cohort.task.classes) > 2 else "none"
    return own.tabular.resample.model_copy(update={"method": method})


def by_image(data: DataFolder) -> DataFolder:
    """The data with every image a group of its own, as if no two showed one lesion."""
    train = data.train
    task = dataclasses.replace(train.task, group=train.task.lesion)
    named = fingerprint({"of": train.fingerprint, "group": task.group})
    return dataclasses.replace(data, train=dataclasses.replace(train, task=task, fingerprint=named))


def network_costs(run: Workspace) -> dict[str, float]:
    """Of all networks of one fold together; boosters add little to any of it."""
    from image_models.predict import load_model
    from research.systems.cost import cost_of

    totals = {"parameters": 0.0, "megabytes": 0.0, "ms_per_image": 0.0, "seconds_per_epoch": 0.0}
    for job in fold_models(run):
        if job.left_out != (0,):
            continue
        model = load_model(job.weights_path, job.model, len(run.data.train.task.classes))
        cost = cost_of(model, job.model.input_size, sees_images=True)
        report = job.step.report()
        assert report is not None
        seconds = float(np.mean([epoch["seconds"] for epoch in report["training"]["epochs"]]))
        for name, value in {**dataclasses.asdict(cost), "seconds_per_epoch": seconds}.items():
            totals[name] += value
    return totals
