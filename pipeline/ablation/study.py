"""`fusionnetx ablation`: finish the run, run stage two again for every variant, score all rows, keep ablation.json.

A variant is a run folder of its own under `ablation/` in the folder of the run, with its recipe. What its recipe does
not change is taken over from the run, so image models are never trained again and an interrupted study goes on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from data.files import write_json
from data.progress import Progress
from pipeline.ablation.reuse import adopt, adopt_stage_one, adopt_stage_two
from pipeline.ablation.rows import FULL, IMAGE_ONLY, WITHOUT_VOTING, Row, row_of, rows_of_parts
from pipeline.ablation.scores import Sample, absent_figures, order_figures, refuse_unknown, row_figures
from pipeline.ablation.table import print_study
from pipeline.ablation.variants import VARIANTS, Variant, settled
from pipeline.display import Display
from pipeline.report.ablation import FILE, state_of
from pipeline.report.published import PUBLISHED, PUBLISHED_ON, SOURCE
from pipeline.steps.oof import run_oof
from pipeline.steps.submission import answers_of, run_submission
from pipeline.steps.tabular import run_tabular
from pipeline.steps.tuning import tuned_members
from pipeline.workspace import Workspace

NAMES = (IMAGE_ONLY, WITHOUT_VOTING, *(variant.name for variant in VARIANTS))
"""What `--only` chooses from; the full run is always there to compare with."""


def run_ablation(space: Workspace, only: Sequence[str] = ()) -> None:
    """Make what is missing, print the table and write ablation.json."""
    refuse_unknown(only, NAMES)
    finish(space)
    wanted = only or NAMES
    full = row_of(space, FULL, "full")
    rows = [full, *(row for row in rows_of_parts(space) if row.name.split(".")[0] in wanted)]
    absent = []
    for variant in VARIANTS:
        if variant.name not in wanted:
            continue
        made = row_of_variant(space, variant)
        if isinstance(made, Row):
            rows.append(made)
        else:
            absent.append(absent_figures(variant.name, variant.title, made))
    figures = study_figures(space, rows, absent)
    write_json(space.run_dir / FILE, figures)
    print_study(space, figures)


def finish(space: Workspace) -> None:
    """Run what the run itself is missing."""
    run_oof(space)
    run_tabular(space)
    if space.data.test is not None:
        run_submission(space)


def row_of_variant(base: Workspace, variant: Variant) -> Row | str:
    """Run a variant in its own folder, taking over what did not change; or why this recipe has no such variant."""
    recipe = variant.recipe(settled(base.recipe, tuned_members(base)))
    if isinstance(recipe, str):
        return recipe
    space = Workspace(
        recipe=recipe,
        run_dir=base.run_dir / "ablation" / variant.name,
        cache_dir=base.cache_dir,
        weights_dir=base.weights_dir,
        display=VariantDisplay(base.display, variant.title),
        data_dir=base.data_dir,
    )
    space.source_dir, space.data = base.source_dir, base.data
    space.record_recipe()
    adopt(space.folds_step, base.run_dir)
    adopt_stage_one(base, space)
    run_oof(space)
    taken, jobs = adopt_stage_two(base, space)
    run_tabular(space)
    if space.data.test is not None:
        run_submission(space)
    base.display.say(f"{variant.title}: {taken} of {jobs} boosters were there already")
    return row_of(space, variant.name, variant.title)


class VariantDisplay(Display):
    """The display of one variant: bars and warnings under its title, the same stop, but not what every stage says."""

    def __init__(self, outer: Display, title: str) -> None:
        super().__init__(outer.console)
        self._outer = outer
        self._title = title

    def check_stop(self) -> None:
        """The user stops the whole study."""
        self._outer.check_stop()

    def say(self, text: str, style: str | None = None) -> None:
        """The table says it."""

    def warn(self, text: str) -> None:
        """Warnings are for the user, whoever gives them."""
        self._outer.warn(f"{self._title}: {text}")

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        """A bar that names the variant."""
        with self._outer.task(f"{self._title}: {label}") as progress:
            yield progress


def study_figures(space: Workspace, rows: list[Row], absent: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything that the table, the report and ablation.json show."""
    train = space.data.train
    score, seed = train.task.score, space.recipe.seed
    samples = [Sample("cross_validated", train.target, train.groups, score, seed)]
    answers = answers_of(space)
    if answers is not None and space.data.test is not None:
        samples.append(Sample("hidden_test", answers.target, space.data.test.groups, score, seed))
    found = []
    with space.display.task("intervals over patients") as progress:
        for place, row in enumerate(rows):
            found.append(row_figures(row, rows[0], samples))
            progress(place + 1, len(rows))
    order = {variant.name: place for place, variant in enumerate(VARIANTS)}
    return {
        "of": state_of(space),
        "score": score,
        "synthetic": space.synthetic,
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
        if space.recipe.data.reader == PUBLISHED_ON
        else None,
    }  # fmt: skip
