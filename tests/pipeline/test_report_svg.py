"""Drawings are well-formed, stay inside their frame and say what they show."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.axis import Axis, even_ticks, log_ticks, probability_ticks, whole_numbers
from pipeline.report.plots import crossing
from pipeline.report.searches import heights_of, history_plot, parallel_plot
from pipeline.report.svg import (
    Area,
    Dots,
    Frame,
    Line,
    Plot,
    dot_strip,
    interval_strip,
    name_lifts,
)


def parsed(markup: str) -> ElementTree.Element:
    """As XML, which HTML's inline SVG also has to be here."""
    return ElementTree.fromstring(markup.replace("<ul class=legend>", "<ul>"))


def example(**changes: object) -> Plot:
    given_: dict[str, object] = {
        "title": "A < B & C",
        "about": "n = 3",
        "description": "rises",
        "x": Axis("x, mm", 0, 10),
        "y": Axis("y", 0, 1),
        "layers": [
            Area([0, 5, 10], [0, 1, 0], "area", 2),
            Line([0, 1, 2, 3], [0.1, None, float("nan"), 0.4], "line", 1, 1),
            Dots([5, 20], [0.5, 3.0], "dots", 3, [0.4, 0.5], [0.6, 9.0], ["<one>", "two"]),
        ],
        "source": "/report/curves/roc",
    }
    return Plot(**{**given_, **changes})  # type: ignore[arg-type]


def test_a_plot_is_well_formed_and_escaped() -> None:
    figure = parsed(example().__html__())
    svg = figure.find("svg")
    assert svg is not None
    assert svg.findtext("title") == "A < B & C"
    assert svg.findtext("desc") == "rises"
    texts = [element.text for element in svg.iter("text")]
    assert {"x, mm", "y", "<one>", "two"} <= set(texts)
    assert [item.text for item in figure.iter("figcaption")] == [None]
    assert len(figure.findall("./ul/li")) == 3


def test_points_outside_the_axes_are_kept_inside_the_drawing() -> None:
    svg = parsed(example().__html__()).find("svg")
    assert svg is not None
    for circle in svg.iter("circle"):
        assert 0 <= float(circle.attrib["cx"]) <= Frame().width
        assert 0 <= float(circle.attrib["cy"]) <= Frame().height


def test_a_gap_breaks_the_line() -> None:
    svg = parsed(example().__html__()).find("svg")
    assert svg is not None
    path = next(p.attrib["d"] for p in svg.iter("path") if "stroke-dasharray" in p.attrib)
    assert path.count("M") == 2
    assert "nan" not in path


def test_two_plots_have_ids_of_their_own() -> None:
    ids = re.findall(r' id="([^"]+)"', example().__html__() + example().__html__())
    assert len(ids) == len(set(ids)) == 4


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_even_ticks_lie_on_the_axis(low: float, span: float) -> None:
    high = low + span
    if high - low < 1e-9 * max(abs(low), 1.0):
        return
    ticks = even_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-6 * span <= value <= high + 1e-6 * span for value, _ in ticks)


@pytest.mark.parametrize(("low", "high"), [(0.002, 0.9), (1.5, 9.0), (1e-6, 1.0)])
def test_log_ticks_lie_on_the_axis(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert len(ticks) >= 2
    assert all(low * 0.99 <= value <= high * 1.01 for value, _ in ticks)


@given(st.integers(1, 400))
def test_whole_ticks_begin_at_one_and_are_few(last: int) -> None:
    values = [value for value, _ in whole_numbers("", last).ticks]
    assert values[0] == 1
    assert values[-1] <= last
    assert len(values) <= 8


def test_log_axis_places_decades_evenly() -> None:
    axis = Axis("", 0.01, 100, log=True)
    assert [axis.place(value) for value in (0.01, 0.1, 1, 10, 100)] == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_names_of_equal_points_do_not_lie_on_each_other() -> None:
    lifts = name_lifts([(1, 0.5)] * 3)
    assert all(abs(a - b) >= 13 for a, b in ((lifts[0], lifts[1]), (lifts[1], lifts[2]), (lifts[0], lifts[2])))


def test_probability_ticks_are_apart_and_in_order() -> None:
    ticks = probability_ticks(-7.0, 5.0)
    places = [place for place, _ in ticks]
    assert places == sorted(places)
    assert "0.5" in [text for _, text in ticks]
    assert min(b - a for a, b in pairwise(places)) >= 12 / 9 - 1e-9


def test_strips_are_well_formed() -> None:
    parsed(str(interval_strip({"low": -1.0, "estimate": 0.5, "high": 9.0}, Axis("", 0, 1), 0.02, 1)))
    swarm = parsed(str(dot_strip([0.0, 0.5, 0.5, 0.5, 1.0], [0.0, 0.2, 0.6, 0.99, 1.0], 0.5)))
    heights = [circle.attrib["cy"] for circle in swarm.iter("circle")][1:4]
    assert len(set(heights)) == 3
    assert {circle.attrib["class"] for circle in swarm.iter("circle")} == {"s0", "s1", "s3", "s4"}


def test_crossing_interpolates() -> None:
    assert crossing([0.0, 0.2, 1.0], [0.0, 0.6, 1.0], 0.8) == pytest.approx(0.6)
    assert crossing([0.0, 0.1, 0.1, 1.0], [0.0, 0.0, 0.9, 1.0], 0.8) == pytest.approx(0.1)


def search(trials: list[dict[str, object]]) -> dict[str, object]:
    return {
        "member": "lightgbm",
        "metric": "pAUC",
        "searches": [{"best_parameters": {"depth": 4, "kind": "a", "rate": 0.1}}],
        "trials": [{**trial, "search": 0} for trial in trials],
    }


def test_search_plots_leave_unfinished_trials_out() -> None:
    parameters = [{"depth": i, "kind": "ab"[i % 2], "rate": 0.1 * i} for i in range(6)]
    scores = [0.10, 0.11, 0.12, 0.10, 0.11, 0.12]
    trials: list[dict[str, object]] = [
        {"trial": i, "state": "complete", "score": scores[i], "parameters": parameters[i]} for i in range(6)
    ]
    trials.append({"trial": 6, "state": "pruned", "score": None, "parameters": {"depth": 1, "kind": None, "rate": 1.0}})
    history = history_plot(search(trials), 0)
    assert "n = 6 finished trials, 1 stopped early" in history.about
    dots = next(layer for layer in history.layers if isinstance(layer, Dots))
    best = next(layer for layer in history.layers if isinstance(layer, Line))
    assert list(best.y) == [max(list(dots.y)[: i + 1]) for i in range(6)]
    parallel = parallel_plot(search(trials), 0)
    assert parallel is not None
    assert len(parallel.layers) == 6
    parsed(parallel.__html__())
    assert parallel_plot(search(trials[:1]), 0) is None


def test_heights_are_ranks_of_values() -> None:
    assert heights_of([3.0, 1.0, None, 100.0]) == [0.5, 0.0, None, 1.0]
    assert heights_of(["b", "a"]) == [1.0, 0.0]
    assert heights_of([2, 2]) == [0.0, 0.0]
