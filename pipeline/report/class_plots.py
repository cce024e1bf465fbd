"""Plots of a task of several classes, drawn from the figures in metrics.json and nothing else."""

from typing import Any

from pipeline.report.plots import MANY_SERIES, SHARE
from pipeline.report.svg import Axis, Line, Plot


def class_plots(figures: dict[str, Any]) -> list[Plot]:
    """ROC curves of every class against the rest: whole, and their steep part."""
    drawn = [one for one in figures["classes"] if one["roc"]]
    if not drawn:
        return []
    told = "; ".join(f"{one['name']} {one['auc']['estimate']:.3f}" for one in drawn if one["auc"])
    return [
        roc_of_classes(figures, drawn, "ROC of each class against the rest", f"AUC: {told}.", 1.0),
        roc_of_classes(figures, drawn, "The same, few others flagged", "Up to a tenth of the others.", 0.1),
    ]


def roc_of_classes(figures: dict[str, Any], drawn: list[Any], title: str, description: str, right: float) -> Plot:
    """One line per class, up to a false positive rate."""
    ticks = [(k * right / 5, f"{k * right / 5:g}") for k in range(6)]
    return Plot(
        title,
        f"n = {figures['lesions']:,} lesions; "
        + ", ".join(f"{one['name']} {one['lesions']:,}" for one in drawn)
        + "; blend, out of fold",
        description,
        Axis("share of the other classes flagged", 0, right, ticks),
        Axis("share of the class found", 0, 1, SHARE),
        [
            Line([0, right], [0, right], "chance", 7, 2),
            *(clipped(one, i, right) for i, one in enumerate(drawn)),
        ],
        "/report/classes/classes",
    )


def clipped(one: dict[str, Any], place: int, right: float) -> Line:
    """The curve of one class up to `right`."""
    points = list(zip(one["roc"]["false_positive_rate"], one["roc"]["sensitivity"], strict=True))
    inside = [(x, y) for x, y in points if x <= right]
    if len(inside) < len(points):
        inside.append((right, inside[-1][1]))
    style = place % MANY_SERIES
    return Line([x for x, _ in inside], [y for _, y in inside], one["name"], 1 + style, style)
