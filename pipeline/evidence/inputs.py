"""The organisers' table on a run's own data: ten variants of inputs by five scores, published ones beside."""

from pathlib import Path
from typing import Any

from features.arrange import used_columns
from pipeline.ablation.made import made_variant
from pipeline.ablation.rows import Row, row_of
from pipeline.evidence.scores import compared, metrics_of, sample_figures
from pipeline.evidence.variants import CLASSES, FULL, VARIANTS, title_of, with_inputs
from pipeline.inputs import Inputs
from pipeline.plan import Plan, settled
from pipeline.report.published import PUBLISHED_ON
from pipeline.runtime import Runtime

SOURCE = "the winning model of ISIC 2024 on the private part (Kurtansky et al., npj Digital Medicine 2025)"
DOI = "10.1038/s41746-025-02070-7"
METRICS = ("pauc", "auc", "nnt_80", "nnt_90", "se_top_15")

_ROWS = {
    "BWTP": (0.173, 0.967, 50.57, 98.20, 0.729),
    "BWT": (0.165, 0.956, 72.68, 145.72, 0.687),
    "BWP": (0.164, 0.957, 63.62, 167.16, 0.695),
    "BW": (0.152, 0.941, 111.34, 230.96, 0.646),
    "BTP": (0.161, 0.948, 97.79, 165.34, 0.597),
    "BT": (0.154, 0.937, 121.46, 206.42, 0.566),
    "WP": (0.157, 0.949, 85.36, 193.69, 0.644),
    "W": (0.150, 0.939, 111.41, 241.17, 0.657),
    "TP": (0.142, 0.923, 160.88, 306.20, 0.544),
    "T": (0.142, 0.922, 143.21, 308.64, 0.548),
}
PUBLISHED = {name: dict(zip(METRICS, figures, strict=True)) for name, figures in _ROWS.items()}
"""What the organisers published of the winning model, by the classes of inputs that a row has."""


def inputs_figures(inputs: Inputs, runtime: Runtime, plan: Plan) -> dict[str, Any]:
    """Make every variant that the run has, and score all of them on the same lesions and drawn patients."""
    train, recipe = inputs.data.train, settled(plan)
    columns = used_columns(train, recipe.features)
    rows, absent = {FULL: row_of(inputs, FULL, title_of(FULL))}, dict[str, str]()
    taken = boosters = 0
    for name in VARIANTS[1:]:
        changed = with_inputs(recipe, name, columns)
        if isinstance(changed, str):
            absent[name] = changed
            continue
        made = made_variant(inputs, runtime, changed, Path("evidence") / name, f"inputs {name}", "tabular")
        taken, boosters = taken + made.taken, boosters + made.boosters
        rows[name] = row_of(made.inputs, name, title_of(name))
    runtime.display.say(f"inputs: {taken} of {boosters} boosters of the variants were there already")
    return figures_of_rows(inputs, runtime, rows, absent)


def figures_of_rows(inputs: Inputs, runtime: Runtime, rows: dict[str, Row], absent: dict[str, str]) -> dict[str, Any]:
    """The table."""
    train = inputs.data.train
    metrics = metrics_of(train.task)
    with runtime.display.task(f"intervals over {train.task.words['groups']}") as progress:
        scored = compared(
            {name: row.out_of_fold for name, row in rows.items()},
            train.target,
            train.groups,
            metrics,
            inputs.run.recipe.seed,
            progress,
        )
    published = PUBLISHED if inputs.run.recipe.data.reader == PUBLISHED_ON else {}
    return {
        "metrics": list(metrics),
        "sample": sample_figures(train.target, train.groups),
        "told": [model.name for model in inputs.run.recipe.image_models if model.metadata.columns],
        "published": {"source": SOURCE, "doi": DOI} if published else None,
        "rows": [
            {
                "name": name,
                "title": title_of(name),
                "classes": {one: one in name for one in CLASSES},
                "absent": absent.get(name),
                **scored.get(name, {"scores": None, "differences": None}),
                "published": published.get(name),
            }
            for name in VARIANTS
        ],
    }
