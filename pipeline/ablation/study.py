"""`fusionnetx ablation`: finish the run, run stage two again for every variant, score all rows, keep ablation.json.

A variant is a run folder of its own under `ablation/` in the folder of the run, with its recipe. What its recipe does
not change is taken over from the run, so image models are never trained again and an interrupted study goes on.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from data.files import write_json
from pipeline.ablation.made import made_variant
from pipeline.ablation.rows import (
    BLENDED,
    FULL,
    IMAGE_ONLY,
    WITHOUT_VOTING,
    Row,
    row_of,
    rows_of_blends,
    rows_of_parts,
)
from pipeline.ablation.scores import Sample, absent_figures, order_figures, refuse_unknown, row_figures
from pipeline.ablation.table import print_study
from pipeline.ablation.variants import VARIANTS, Variant
from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.plan import settled
from pipeline.recipe import Recipe
from pipeline.report.ablation import FILE, state_of
from pipeline.report.metrics import refresh_metrics
from pipeline.report.published import PUBLISHED, PUBLISHED_ON, SOURCE
from pipeline.runtime import Runtime
from pipeline.steps.submission import answers_of

NAMES = (IMAGE_ONLY, WITHOUT_VOTING, BLENDED, *(variant.name for variant in VARIANTS))
"""What `--only` chooses from; the full run is always there to compare with."""


def run_ablation(inputs: Inputs, runtime: Runtime, only: Sequence[str] = ()) -> None:
    """Make what is missing, print the table and write ablation.json."""
    refuse_unknown(only, NAMES)
    plan = make(inputs, runtime, "submission")
    refresh_metrics(inputs)
    wanted = only or NAMES
    rows = [row_of(inputs, FULL, "full")]
    parts = chain(rows_of_parts(inputs), rows_of_blends(inputs) if BLENDED in wanted else ())
    rows += [row for row in parts if row.name.split(".")[0] in wanted]
    absent = []
    for variant in (variant for variant in VARIANTS if variant.name in wanted):
        made = row_of_variant(inputs, runtime, settled(plan), variant)
        if isinstance(made, Row):
            rows.append(made)
        else:
            absent.append(absent_figures(variant.name, variant.title, made))
    figures = study_figures(inputs, runtime, rows, absent)
    write_json(inputs.run.folder / FILE, figures)
    print_study(runtime.display, figures)


def row_of_variant(base: Inputs, outer: Runtime, recipe: Recipe, variant: Variant) -> Row | str:
    """Run a variant in its own folder, taking over what did not change; or why this recipe has no such variant."""
    changed = variant.recipe(recipe)
    if isinstance(changed, str):
        return changed
    made = made_variant(base, outer, changed, Path("ablation") / variant.name, variant.title)
    refresh_metrics(made.inputs)
    outer.display.say(f"{variant.title}: {made.taken} of {made.boosters} boosters were there already")
    return row_of(made.inputs, variant.name, variant.title)


def study_figures(inputs: Inputs, runtime: Runtime, rows: list[Row], absent: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything that the table, the report and ablation.json show."""
    train, test, recipe = inputs.data.train, inputs.data.test, inputs.run.recipe
    score, seed = train.task.score, recipe.seed
    samples = [Sample("cross_validated", train.target, train.groups, score, seed, inputs.folds.fold)]
    answers = answers_of(inputs)
    if answers is not None and test is not None:
        samples.append(Sample("hidden_test", answers.target, test.groups, score, seed))
    found = []
    with runtime.display.task(f"intervals over {train.task.words['groups']}") as progress:
        for place, row in enumerate(rows):
            found.append(row_figures(row, rows[0], samples))
            progress(place + 1, len(rows))
    order = {variant.name: place for place, variant in enumerate(VARIANTS)}
    return {
        "of": state_of(inputs.run),
        "score": score,
        "words": train.task.words,
        "synthetic": inputs.run.invented,
        "optimistic": recipe.tabular.optimistic,
        "samples": {
            one.part: {
                "lesions": len(one.target),
                "patients": len(np.unique(one.groups)),
                "positives": int((one.target > 0).sum()),
            }
            for one in samples
        },
        "rows": sorted(found + absent, key=lambda row: order.get(row["name"], -1)),
        "order": {one.part: order_figures(rows, one) for one in samples},
        "published": {"source": SOURCE, "rows": list(PUBLISHED)}
        if recipe.data.reader == PUBLISHED_ON
        else None,
    }  # fmt: skip
