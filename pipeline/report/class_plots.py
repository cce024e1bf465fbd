"""Plots of a task of several classes, drawn from the figures in metrics.json and nothing else."""

from typing import Any

from pipeline.report.axis import share
from pipeline.report.svg import SERIES, Line, Plot


def class_plots(figures: dict[str, Any], words: dict[str, str]) -> list[Plot]:
    """ROC curves of every class against the rest: whole, and their steep part."""
    drawn = [one for one in figures["classes"] if one["roc"]]
    if not drawn:
        return []
    areas = "; ".join(f"{one['name']} {one['auc']['estimate']:.3f}" for one in drawn if one["auc"])
    counts = ", ".join(f"{one['name']} {one['lesions']:,}" for one in drawn)
    return [
        Plot(
            title,
            f"n = {figures['lesions']:,} {words['rows']}; {counts}; blend, out of fold",
            description,
            share("share of the other classes flagged", right),
            share("share of the class found"),
            [Line([0, right], [0, right], "chance", 7, 2), *(clipped(one, i, right) for i, one in enumerate(drawn))],
            "/report/classes/classes",
        )
        for title, description, right in (
            ("ROC of each class against the rest", f"AUC: {areas}.", 1.0),
            ("The same, few others flagged", "Up to a tenth of the others.", 0.1),
        )
    ]


def clipped(one: dict[str, Any], place: int, right: float) -> Line:
    """The curve of one class up to `right`."""
    points = list(zip(one["roc"]["false_positive_rate"], one["roc"]["sensitivity"], strict=True))
    inside = [(x, y) for x, y in points if x <= right]
    if len(inside) < len(points):
        inside.append((right, inside[-1][1]))
    style = place % SERIES
    return Line([x for x, _ in inside], [y for _, y in inside], one["name"], 1 + style, style)
