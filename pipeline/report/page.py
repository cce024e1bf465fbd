"""From metrics.json to HTML: values that remember where they come from, and the page that shows them.

A number in the page is `{{ m.some.path | figure(".4f") }}`: the text is made from metrics.json and the element carries
the JSON pointer, so any reader (and a test) can check one against the other.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from data.scores.scores import SCORES
from pipeline.printable import DIRECTIONS
from pipeline.report.ablation import VERDICTS, study_plot
from pipeline.report.axis import Axis
from pipeline.report.evidence import TITLES, evidence_plots, spec_of
from pipeline.report.plots import class_plots, cost_plot, curve_plots, training_plots
from pipeline.report.searches import search_plots
from pipeline.report.svg import dot_strip, interval_strip
from pipeline.report.words import short_title

TEMPLATES = Path(__file__).parent
NOTHING = "–"
"""Shown where metrics.json has null."""


class Value:
    """A value of metrics.json and its JSON pointer (RFC 6901)."""

    def __init__(self, value: Any, pointer: str = "") -> None:
        self.value = value
        self.pointer = pointer

    def __getitem__(self, key: Any) -> "Value":
        name = str(key).replace("~", "~0").replace("/", "~1")
        return Value(self.value[key], f"{self.pointer}/{name}")

    def __iter__(self) -> Iterator[Any]:
        """Elements of a list; names and values of an object."""
        if isinstance(self.value, dict):
            return iter([(name, self[name]) for name in self.value])
        return iter([self[i] for i in range(len(self.value))])

    def __contains__(self, key: object) -> bool:
        return key in self.value

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __str__(self) -> str:
        return str(self.value)


def figure(value: Value, spec: str) -> Markup:
    """A number as text, with where it comes from; `spec` is a Python format."""
    text = NOTHING if value.value is None else format(value.value, spec)
    return Markup('<data data-key="{}" data-format="{}" value="{}">{}</data>').format(
        value.pointer, spec, "" if value.value is None else value.value, text
    )


def interval(value: Value | None, spec: str = ".4f") -> Markup:
    """`0.1614 (0.1476 to 0.1744)`."""
    if value is None or not value.value:
        return Markup(NOTHING)
    if "low" not in value:
        return figure(value["estimate"], spec)
    return Markup('{} <span class="interval">({} to {})</span>').format(
        *(figure(value[key], spec) for key in ("estimate", "low", "high"))
    )


def score_strip(value: Value | None, metrics: dict[str, Any], colour: int = 1) -> Markup:
    """The interval of a score on a strip from 0 to its best value, with chance marked."""
    if value is None or not value.value:
        return Markup()
    return interval_strip(value.value, Axis("", 0.0, metrics["best"]), metrics["chance"], colour)


def share_strip(value: Value, reference: Value) -> Markup:
    """The interval of a share on a strip from 0 to 1, with another share marked."""
    return interval_strip(value.value, Axis("", 0.0, 1.0), reference.value)


def difference_strip(value: Value, rows: Value) -> Markup:
    """The interval of a difference on a strip that all rows share, with no difference marked."""
    ends = [end for row in rows.value for end in row.values() if isinstance(end, dict) and "low" in end]
    low = min(0.0, *(one["low"] for one in ends)) if ends else -1.0
    high = max(0.0, *(one["high"] for one in ends)) if ends else 1.0
    return interval_strip(value.value, Axis("", low, high if high > low else low + 1.0), 0.0)


def bar(value: Value, most: float) -> Markup:
    """A bar whose length is the share of the largest value in its column."""
    width = 0.0 if most <= 0 or value.value is None else max(0.0, min(1.0, value.value / most))
    return Markup('<span class="bar" aria-hidden="true"><i style="width:{:.1f}%"></i></span>').format(100 * width)


def swarm(feature: Value, scale: Value) -> Markup:
    """Contributions of one feature, on the scale of all features shown."""
    low = scale.value["low"]
    span = (scale.value["high"] - low) or 1.0
    one = feature.value
    return dot_strip([(value - low) / span for value in one["contributions"]], one["value_ranks"], -low / span)


def plots_of(metrics: dict[str, Any]) -> dict[str, Any]:
    """Every plot that these figures allow."""
    report = metrics["report"]
    cost, words = cost_plot(metrics), report["words"]
    return {
        "curves": curve_plots(metrics) if report["curves"] else [],
        "classes": class_plots(report["classes"], words) if report["classes"] else [],
        "models": [*([cost] if cost else []), *training_plots(metrics)],
        "tuning": [search_plots(one, i) for i, one in enumerate(report["tuning"])],
        "ablation": study_plot(report["ablation"], words) if report["ablation"] else None,
    }


def page(metrics: dict[str, Any], pictures: dict[str, str]) -> str:
    """The report as one HTML text. `pictures` are data URIs by lesion."""
    return render(
        "report.html",
        metrics,
        score_strip=lambda value, colour=1: score_strip(value, metrics, colour),
        many=bool(metrics["report"]["classes"]),
        plots=plots_of(metrics),
        pictures=pictures,
        verdicts=VERDICTS,
        evidence_plots=evidence_plots(report["evidence"], report["words"], "/report/evidence")
        if (report := metrics["report"])["evidence"]
        else {},
    )


def data_uri(kind: str, encoded: bytes) -> str:
    """An image (`png`, `jpeg`) as a page carries it in itself."""
    return f"data:image/{kind};base64," + base64.b64encode(encoded).decode("ascii")


def render(template: str, figures: dict[str, Any], **values: Any) -> str:
    """A template as one HTML text: figures with their pointers as `m`, and the style sheet of every page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "interval": interval}
    environment.globals |= {
        "difference_strip": difference_strip,
        "share_strip": share_strip,
        "bar": bar,
        "swarm": swarm,
        "largest": lambda rows, *path: max((abs(_reach(row, path)) for row in rows.value), default=0.0),
        "shade": shade,
        "short_title": short_title,
        "titles": {name: score.title for name, score in SCORES.items()},
        "evidence_titles": TITLES,
        "spec_of": spec_of,
        **values,
    }
    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(m=Value(figures), style=style).translate(DIRECTIONS)


def _reach(row: Any, path: tuple[str, ...]) -> float:
    for key in path:
        row = row[key]
    return float(row or 0.0)


def shade(value: float | None) -> str:
    """Background of a correlation: nothing at 0, full at 1 (blue) or -1 (orange)."""
    if value is None:
        return ""
    colour = "var(--c1)" if value >= 0 else "var(--c2)"
    return str(escape(f"background:color-mix(in srgb, {colour} {abs(value) * 55:.0f}%, transparent)"))
