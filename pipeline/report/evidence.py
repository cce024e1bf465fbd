"""What `fusionnetx evidence` and `evaluate` found, as evidence.json in the run folder has it, and its plots."""

from collections.abc import Mapping
from typing import Any

from data.scores.scores import PATIENT_SCORES, SCORES
from pipeline.report.axis import around
from pipeline.report.forest import Mark, Marks, forest
from pipeline.report.svg import Dots, Frame, Line, Plot
from pipeline.report.words import counted

FILE = "evidence.json"
PARTS = ("inputs", "clinics", "robustness", "shuffled", "evaluations")
"""What the file may hold; None for what was not asked for yet."""
TITLES = {name: one.title for name, one in SCORES.items()} | {name: one.title for name, one in PATIENT_SCORES.items()}


def spec_of(metric: str) -> str:
    """How a score is printed."""
    return ",.1f" if metric.startswith("nnt") else ".4f"


def evidence_plots(figures: Mapping[str, Any], words: dict[str, str], pointer: str) -> dict[str, list[Plot]]:
    """The plots of every part that is there; `pointer` is where the figures lie in the page's JSON."""
    score = figures["score"]
    found: dict[str, list[Plot]] = {part: [] for part in PARTS}
    if figures["inputs"]:
        found["inputs"] = inputs_plots(figures["inputs"], score, words, f"{pointer}/inputs/rows")
    if figures["clinics"]:
        found["clinics"] = clinics_plots(figures["clinics"], score, words, f"{pointer}/clinics/clinics")
    if figures["robustness"]:
        found["robustness"] = robustness_plots(figures["robustness"], score, words, f"{pointer}/robustness")
    return found


def inputs_plots(table: Mapping[str, Any], score: str, words: dict[str, str], source: str) -> list[Plot]:
    """How far each variant of inputs is from the full run."""
    found = [(row["title"], row["differences"]) for row in table["rows"] if row["differences"]]
    marks = Marks([(title, Mark.each({"": one[score]}, {"": ""})) for title, one in found])
    if not marks.rows:
        return []
    sample = table["sample"]
    plot = forest(
        "Difference from the full run",
        f"n = {counted(sample['lesions'], sample['patients'], words)}; bars: 95 % over {words['groups']}, the same "
        "drawn for both",
        marks.in_words("+.4f"),
        f"{TITLES[score]}: variant less full",
        marks,
        source,
        reference=0.0,
    )
    return [plot]


def clinics_plots(table: Mapping[str, Any], score: str, words: dict[str, str], source: str) -> list[Plot]:
    """Known beside unseen at every institution, with and without it as an input."""
    plots = []
    for told in table["told"]:
        marks = Marks(
            [
                (one["name"][:48], Mark.each(one["told"][told][score], {"known": "known", "unseen": "unseen"}))
                for one in table["clinics"]
                if one["told"]
            ]
        )
        if marks.rows:
            plots.append(
                forest(
                    f"Known and unseen, {told} {table['by']} as an input",
                    f"bars: 95 % over the {words['groups']} of each",
                    marks.in_words(".4f"),
                    TITLES[score],
                    marks,
                    source,
                )
            )
    return plots


def robustness_plots(table: Mapping[str, Any], score: str, words: dict[str, str], source: str) -> list[Plot]:
    """The score over the strength of every fault, and what missing columns cost."""
    clean = table["as_it_is"][score]
    if clean is None:
        return []
    plots: list[Plot] = []
    known = [
        (place, fault, [row for row in fault["rows"] if row["scores"][score]])
        for place, fault in enumerate(table["faults"])
    ]
    ends = [row["scores"][score][end] for _, _, rows in known for row in rows for end in ("low", "high")]
    for place, fault, rows in known:
        if not rows:
            continue
        at = [float(row["strength"]) for row in rows]
        found = [row["scores"][score] for row in rows]
        values = [one["estimate"] for one in found]
        plots.append(
            Plot(
                fault["title"],
                f"bars: 95 % over {words['groups']}; dashed: as it is",
                "; ".join(f"{x:g}: {y:.4f}" for x, y in zip(at, values, strict=True)),
                around(fault["unit"], at, 0.08, ticks=[(x, f"{x:g}") for x in at]),
                around(TITLES[score], [*ends, clean["estimate"]], 0.05),
                [
                    Line([min(at), max(at)], [clean["estimate"]] * 2, dash=1, colour=2),
                    Line(at, values),
                    Dots(at, values, low=[one["low"] for one in found], high=[one["high"] for one in found]),
                ],
                f"{source}/faults/{place}",
                Frame(width=300, height=220),
            )
        )
    gaps = Marks([(row["name"], Mark.each({"": row["differences"][score]}, {"": ""})) for row in table["missing"]])
    if gaps.rows:
        plots.append(
            forest(
                "Columns missing",
                f"bars: 95 % over {words['groups']}, the same drawn for both",
                gaps.in_words("+.4f"),
                f"{TITLES[score]}: without less with",
                gaps,
                f"{source}/missing",
                reference=0.0,
            )
        )
    return plots
