"""The two stages together by one protocol: the ordinary run, on folds by image (published) or by lesion (sound).

The authors do not say how they divided HAM10000 or PH2; folds by image are what a reading without a word about lesions
gives. The run lives in a folder of its own and is continued like any other.
"""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.cohort import DataFolder
from data.files import fingerprint
from data.readers import READERS
from image_models.recipe import ImageModelRecipe
from pipeline.columns import read_columns, stacked
from pipeline.inputs import Inputs
from pipeline.lock import hold
from pipeline.make import make
from pipeline.plan import Plan
from pipeline.recipe import Recipe, load_recipe
from pipeline.steps.fold_model import WEIGHTS, fold_model_of
from research.systems.forms import fast_form
from research.systems.protocols import ProtocolName
from research.systems.registry import SYSTEMS, Fast, System
from research.systems.scored import Scored

FAST_NETWORKS = (
    ("own_mobilenetv2", Fast(64, 3, 0, 5e-4)),
    ("own_mobilenetv2_frozen", Fast(112, 40, 0, 1e-3)),
)
"""What stands in for the three large networks on a CPU: the one with pretrained weights at hand, twice."""


def run_two_stages(view: Inputs, system: System, protocol: ProtocolName, label: str, *, fast: bool) -> Scored:
    """Run what is missing of both stages; the sound fast form is scored on the fold of the other systems."""
    inputs = own_inputs(view, system, protocol, fast=fast)
    runtime, run = inputs.runtime, inputs.run
    with hold(run.folder):
        run.record()
        runtime.display.say(f"{label}: both stages, {run.recipe.folds.count} folds")
        plan = make(inputs, runtime, "tabular")
    fold, networks = inputs.folds.fold, run.recipe.image_models
    rows = inputs.folds.validation_rows(0) if fast and protocol == "sound" else np.arange(len(fold))
    said = stacked(read_columns(run.folder / "tabular" / "oof.parquet", inputs.data.train.ids), "blend")
    names = ", ".join(f"{model.name} at {model.image_size} px" for model in networks)
    return Scored(
        rows=rows.astype(np.int64),
        probability=said.reshape(len(fold), -1)[rows],
        shared_rows=0.0,
        shared_lesions=float(divided_lesions(view.data.train.groups, fold)[rows].mean()),
        cost=network_costs(plan, len(inputs.data.train.task.classes)),
        setting=f"{names}; {len(run.recipe.tabular.members)} boosters; {inputs.folds.count} folds",
    )


def own_inputs(view: Inputs, system: System, protocol: ProtocolName, *, fast: bool) -> Inputs:
    """The inputs of the run of both stages."""
    outer, weights_dir, task = view.run.recipe, view.runtime.weights_dir, view.data.train.task
    own = load_recipe(recipe_name(system, outer))
    models = own.image_models
    if fast:
        by_name = {system.name: system for system in SYSTEMS}
        models = tuple(_fast(by_name[name], form, weights_dir) for name, form in FAST_NETWORKS)
    # Class weights are for more than two classes, other methods for two.
    method = "class_weights" if len(task.classes) > 2 else "none"
    columns = READERS[outer.data.reader].told_columns.columns
    resample = own.tabular.resample.model_copy(update={"method": method})
    # Networks one after the other: their data are in memory, which other processes do not see.
    one_by_one = {"image_model_cpus": view.runtime.job_cpus, "image_models_at_once": 1}
    recipe = own.model_copy(
        update={
            "resources": own.resources.model_copy(update=one_by_one),
            "seed": outer.seed,
            "data": outer.data,
            "folds": outer.folds,
            "image_models": models,
            "features": own.features.model_copy(update={"extra_columns": columns}),
            "tabular": own.tabular.model_copy(update={"resample": resample}),
        }
    )
    run = view.run.derive(recipe=recipe, folder=view.run.folder / system.name)
    data = by_image(view.data) if protocol == "published" else view.data
    return Inputs(run, view.runtime, given=data)


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


def by_image(data: DataFolder) -> DataFolder:
    """The data with every image a group of its own, as if no two showed one lesion."""
    train = data.train
    task = dataclasses.replace(train.task, group=train.task.lesion)
    named = fingerprint({"of": train.fingerprint, "group": task.group})
    return dataclasses.replace(data, train=dataclasses.replace(train, task=task, fingerprint=named))


def network_costs(plan: Plan, classes: int) -> dict[str, float]:
    """Of all networks of one fold together; boosters add little to any of it."""
    from image_models.predict import load_model
    from research.systems.scored import cost_of

    totals = {"parameters": 0.0, "megabytes": 0.0, "ms_per_image": 0.0, "seconds_per_epoch": 0.0}
    for step in plan.fold_models:
        if step.key[1:] != (0,):
            continue
        recipe, report = fold_model_of(step).model, step.report() or {}
        cost = cost_of(load_model(step.folder / WEIGHTS, recipe, classes), recipe.input_size, sees_images=True)
        seconds = float(np.mean([epoch["seconds"] for epoch in report["training"]["epochs"]]))
        for name, value in {**dataclasses.asdict(cost), "seconds_per_epoch": seconds}.items():
            totals[name] += value
    return totals
