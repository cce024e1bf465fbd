"""The forest plot: marks lie where their numbers say, and every row has its name."""

import re
from xml.etree import ElementTree

import pytest

from pipeline.report.forest import Mark, Marks, forest
from pipeline.report.svg import Plot


def drawn(plot: Plot) -> ElementTree.Element:
    return ElementTree.fromstring(plot.__html__().replace("<ul class=legend>", '<ul class="legend">'))


def test_marks_lie_on_the_axis() -> None:
    rows = [
        ("a & b", [Mark(-0.5, 0.0, 0.5, "one", 1), Mark(0.0, 1.0, 1.0, "two", 2)]),
        ("c", [Mark(-1, -1, 0, "one", 1)]),
    ]
    figure = drawn(forest("Lead", "n = 3", "words", "less full", Marks(rows), "/rows", reference=0.0))
    dots = [float(one.attrib["cx"]) for one in figure.iter("circle") if one.attrib["r"] == "4" and "cx" in one.attrib]
    ticks = {one.text: float(one.attrib["x"]) for one in figure.iter("text") if one.attrib.get("class") == "tick"}
    assert dots[:2] == pytest.approx([ticks["0"], ticks["-1"]], abs=0.1)
    square = next(one for one in figure.iter("rect") if one.attrib["class"] == "dot c2")
    assert float(square.attrib["x"]) + 3.5 == pytest.approx(ticks["1"], abs=0.1)
    bars = [
        re.findall(r"M([\d.]+) .*H([\d.]+)", one.attrib["d"])
        for one in figure.iter("path")
        if "line" in one.attrib["class"]
    ]
    middle = (ticks["-1"] + ticks["0"]) / 2
    assert float(bars[0][0][0]) == pytest.approx(middle, abs=0.1)
    names = [one.text for one in figure.iter("text")]
    assert {"a & b", "c", "less full"} <= set(names)
    assert len(list(figure.iter("li"))) == 2


def test_the_axis_holds_every_interval_and_the_reference() -> None:
    rows = [("a", [Mark(0.2, 0.3, 0.4), Mark(0.25, 0.5, 0.9)])]
    axis = forest("Lead", "n = 3", "words", "x", Marks(rows), "/rows", reference=0.0).x
    assert axis.low < 0.0
    assert axis.high > 0.9
    point = forest("Lead", "n = 3", "words", "x", Marks([("a", [Mark(0.2, 0.2, 0.2)])]), "/rows").x
    assert point.low < 0.2 < point.high


def test_two_forests_of_a_page_have_ids_of_their_own() -> None:
    plot = forest("Lead", "n = 3", "words", "x", Marks([("a", [Mark(0, 0.5, 1)])]), "/rows")
    ids = [re.findall(r' id="(\w+)"', plot.__html__()) for _ in range(2)]
    assert len(set(ids[0]) | set(ids[1])) == 4
