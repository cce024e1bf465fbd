"""The comparison as a page in the report's style: tables, plots of scores and costs, and each network by itself."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pipeline.report.axis import share
from pipeline.report.forest import Mark, Marks, forest
from pipeline.report.page import TEMPLATES
from pipeline.report.plots import clipped
from pipeline.report.svg import Line, Plot
from research.systems.table import Cells, notes, score_cells, summary_cells

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>Published systems compared</title>
<style>{style}</style></head><body>
<header><p class="kicker">FusionNetX</p><h1>Published systems compared</h1></header>
<nav aria-label="Sections"><ul><li><a href="#scores">Scores</a></li><li><a href="#cost">Cost</a></li>
<li><a href="#each">Each network</a></li></ul></nav>
<main>{body}</main></body></html>
"""
COSTS = {"seconds_per_epoch": "seconds per epoch", "ms_per_image": "ms per image", "megabytes": "MB"}


def html_page(figures: Mapping[str, Any]) -> str:
    """A self-contained page."""
    parts = [
        '<section id="scores"><h2>Scores</h2>',
        html_table(*summary_cells(figures)),
        *(score_plot(figures, name, title).__html__() for name, title in (("accuracy", "Accuracy"), ("auc", "AUC"))),
        html_table(*score_cells(figures)),
        *(f"<p>{escape(note)}</p>" for note in notes(figures)),
        '</section><section id="cost"><h2>Cost</h2>',
        *(plot.__html__() for plot in cost_plots(figures)),
        '</section><section id="each"><h2>Each network</h2>',
        *(one_network(result, place) for place, result in enumerate(figures["results"])),
        "</section>",
    ]
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return PAGE.format(style=style, body="\n".join(parts))


def html_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls by itself where it is wider than the page."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heading)
    lines = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(text)}</td>" for text in row[1:])}</tr>\n'
        for row in rows
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="table"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody></table></div>\n"
    )


def score_plot(figures: Mapping[str, Any], name: str, title: str) -> Plot:
    """One score of every system by its authors' protocol and by the sound one."""
    rows: dict[str, list[Mark]] = {}
    for result in figures["results"]:
        found, sound = result["scores"].get(name, {}), result["protocol"] == "sound"
        if "low" in found:
            mark = Mark(found["low"], found["estimate"], found["high"], result["protocol"], 1 + sound)
            rows.setdefault(result["system"], []).append(mark)
    marks = Marks(list(rows.items()))
    about = f"bars: 95 % over {figures['words']['groups']}"
    return forest(f"{title} by both protocols", about, marks.in_words(".3f"), title, marks, "/results")


def cost_plots(figures: Mapping[str, Any]) -> list[Plot]:
    """Time and size of every network by itself, then all beside the score, each as a share of the largest."""
    one_each = {result["system"]: result for result in figures["results"]}
    largest = {key: max(one["cost"][key] for one in one_each.values()) or 1.0 for key in COSTS}
    plots = []
    for key, title in COSTS.items():
        marks = Marks([(name, [plain(one["cost"][key])]) for name, one in one_each.items()])
        plots.append(
            forest(f"Cost in {title}", "the smaller the better", marks.in_words(".3g"), title, marks, "/results")
        )
    rows = []
    for name, one in one_each.items():
        score = one["scores"].get("auc") or one["scores"]["accuracy"]
        shares = {"AUC": score["estimate"], **{title: one["cost"][key] / largest[key] for key, title in COSTS.items()}}
        rows.append((name, [plain(value, label, place) for place, (label, value) in enumerate(shares.items(), 1)]))
    about = "AUC as it is; costs as a share of the largest"
    return [
        *plots,
        forest("Everything normalised", about, Marks(rows).in_words(".2f"), "share", Marks(rows), "/results"),
    ]


def plain(value: float, label: str = "", colour: int = 1) -> Mark:
    """A dot without an interval."""
    return Mark(value, value, value, label, colour)


def one_network(result: Mapping[str, Any], place: int) -> str:
    """Confusion matrix, ROC of every class, images of a group together, and the progress by epoch."""
    names = [one["name"] for one in result["classes"]]
    confusion = [[name, *map(str, row)] for name, row in zip(names, result["confusion"], strict=True)]
    parts = [html_table(["true class, called:", *names], confusion), roc_plot(result, place).__html__()]
    together = result["together"]
    if together:
        heading, rows = together_cells(together)
        parts.append(html_table(heading, rows))
    if result["progress"]:
        parts.append(html_table(*progress_cells(result["progress"])))
    title = f"{result['system']}, {result['protocol']} protocol"
    return f"<details><summary>{escape(title)}</summary>{''.join(parts)}</details>"


def roc_plot(result: Mapping[str, Any], place: int) -> Plot:
    """ROC of each class against the rest."""
    drawn = [one for one in result["classes"] if one["roc"]]
    areas = "; ".join(f"{one['name']} {one['auc']:.3f}" for one in drawn)
    return Plot(
        "ROC of each class against the rest",
        f"n = {result['rows']:,} rows; AUC: {areas}",
        f"AUC: {areas}.",
        share("share of the other classes flagged"),
        share("share of the class found"),
        [Line([0, 1], [0, 1], "chance", 7, 2), *(clipped(one, i, 1.0) for i, one in enumerate(drawn))],
        f"/results/{place}/classes",
    )


def together_cells(together: Mapping[str, Any]) -> Cells:
    """Scores of groups (lesions, patients), out of the rows of each."""
    scores = [name for name in together["rows"][0] if name != "way"]
    rows = [
        [row["way"], *("–" if row[name] is None else f"{row[name]:.3f}" for name in scores)] for row in together["rows"]
    ]
    return ["rows of a group together", *(name.replace("_", " ") for name in scores)], rows


PROGRESS = {
    "loss": "training loss",
    "accuracy": "training accuracy",
    "auc": "training AUC",
    "inner_loss": "validation loss",
    "inner_accuracy": "validation accuracy",
    "inner_auc": "validation AUC",
    "inner_score": "what chooses the epoch",
}


def progress_cells(progress: Sequence[Mapping[str, Any]]) -> Cells:
    """Training by epoch; a fit that keeps its last epoch has no validation part."""
    rows = [
        [
            str(epoch["epoch"]),
            *("–" if epoch.get(name) is None else f"{epoch[name]:.4f}" for name in PROGRESS),
            f"{epoch['learning_rate']:.2g}",
            f"{epoch['seconds']:.1f}",
        ]
        for epoch in progress
    ]
    return ["epoch", *PROGRESS.values(), "learning rate", "seconds"], rows
