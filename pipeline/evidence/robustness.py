"""The score on held-out lesions when pictures are worse or columns are missing; nothing is trained."""

from typing import Any

import numpy as np

from features.arrange import used_columns
from features.columns import MEASURED, is_measured
from pipeline.ablation.rows import stage_columns
from pipeline.evidence.held_out import HeldOut, emptied
from pipeline.evidence.scores import Floats, compared, metrics_of, sample_figures
from pipeline.evidence.worse_pictures import FAULTS, Pictures
from pipeline.inputs import Inputs
from pipeline.plan import Plan
from pipeline.report.finished import SUBJECT
from pipeline.runtime import Runtime

AS_IT_IS = "as it is"


def robustness_figures(inputs: Inputs, runtime: Runtime, plan: Plan) -> dict[str, Any]:
    """Every fault at every strength, and every group of columns missing, each beside the run as it is."""
    train = inputs.data.train
    held_out = HeldOut(inputs, runtime, plan)
    faults = FAULTS if inputs.run.recipe.sees_images else ()
    cells = [(fault.name, strength) for fault in faults for strength in fault.strengths]
    gaps = missing_groups(inputs)
    columns: dict[str, Floats] = {AS_IT_IS: stage_columns(inputs, "tabular").alone("", "", SUBJECT).out_of_fold}
    if faults:
        changes = [changed(fault, strength) for fault in faults for strength in fault.strengths]
        with runtime.display.task(f"worse pictures: {len(changes)} kinds by {len(plan.fold_models)} models") as told:
            scores = held_out.image_scores(changes, train.table, told)
        with runtime.display.task("worse pictures: stage two") as told:
            for place, (cell, frame) in enumerate(zip(cells, scores, strict=True), start=1):
                columns[key_of(*cell)] = held_out.blended(train, frame)
                told(place, len(cells))
    with runtime.display.task("columns missing") as told:
        for place, (name, missing) in enumerate(gaps.items(), start=1):
            cohort, own = emptied(train, missing), held_out.own_image_scores()
            if any(set(model.metadata.columns) & set(missing) for model in inputs.run.recipe.image_models):
                own = held_out.image_scores([unchanged], cohort.table, told)[0]
            columns[key_of("missing", name)] = held_out.blended(cohort, own)
            told(place, len(gaps))
    metrics = metrics_of(train.task)
    with runtime.display.task(f"intervals over {train.task.words['groups']}") as told:
        found = compared(columns, train.target, train.groups, metrics, inputs.run.recipe.seed, told)
    return {
        "metrics": list(metrics),
        "sample": sample_figures(train.target, train.groups),
        "image_side_px": inputs.run.recipe.data.image_size,
        "as_it_is": found[AS_IT_IS]["scores"],
        "faults": [
            {
                "name": fault.name,
                "title": fault.title,
                "unit": fault.unit,
                "rows": [{"strength": one, **found[key_of(fault.name, one)]} for one in fault.strengths],
            }
            for fault in faults
        ],
        "missing": [
            {"name": name, "columns": list(missing), **found[key_of("missing", name)]} for name, missing in gaps.items()
        ],
    }


def key_of(kind: str, what: object) -> str:
    """Names a cell."""
    return f"{kind}: {what}"


def changed(fault: Any, strength: float) -> Any:
    """A fault at one strength, as a function of pictures."""
    return lambda pictures: fault.on(pictures, strength)


def unchanged(pictures: Pictures) -> Pictures:
    """As they are."""
    return np.asarray(pictures)


def missing_groups(inputs: Inputs) -> dict[str, tuple[str, ...]]:
    """Each group of measurements that the run uses, each basic column, all measurements, and everything basic."""
    recipe = inputs.run.recipe
    told = {name for model in recipe.image_models for name in model.metadata.columns}
    used = [*used_columns(inputs.data.train, recipe.features)]
    used += [name for name in inputs.data.train.table.columns if name in told and name not in used]
    basic = tuple(name for name in used if not is_measured(name))
    groups = {group: tuple(name for name in used if name in of) for group, of in MEASURED.items()}
    found = {name: (name,) for name in basic} | {f"all of {group}": own for group, own in groups.items()}
    found["everything basic"] = basic
    found["every measurement"] = tuple(name for name in used if is_measured(name))
    return {name: own for name, own in found.items() if own}
