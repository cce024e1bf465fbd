"""Plots of the parameter searches: the history of scores, and every trial through its parameters."""

from itertools import accumulate
from typing import Any

from pipeline.report.axis import Axis, around, whole_numbers
from pipeline.report.svg import Dots, Line, Plot


def search_plots(search: dict[str, Any], place: int) -> list[Plot]:
    """Both of one member."""
    parallel = parallel_plot(search, place)
    return [history_plot(search, place), *([parallel] if parallel else [])]


def history_plot(search: dict[str, Any], place: int) -> Plot:
    """Score of every finished trial, and the best so far of each search."""
    done = [trial for trial in search["trials"] if trial["score"] is not None]
    x, y = [trial["trial"] + 1 for trial in done], [trial["score"] for trial in done]
    others = f"{len(search['trials']) - len(done)} stopped early or failed"
    lines = []
    for number in range(len(search["searches"])):
        own = [(trial["trial"] + 1, trial["score"]) for trial in done if trial["search"] == number]
        best = list(accumulate((score for _, score in own), max))
        label = "" if number else "best so far" + (" of each search" if len(search["searches"]) > 1 else "")
        lines.append(Line([place for place, _ in own], best, label, 2, step=True))
    return Plot(
        f"Search of {search['member']}",
        f"n = {len(done)} finished trials, {others}; mean {search['metric']} over the folds searched on",
        f"The best trial scores {max(y):.4f}, the first one {y[0]:.4f}.",
        whole_numbers("trial", max(x)),
        around(search["metric"], y, 0.08),
        [Dots(x, y, "trial", 1), *lines],
        f"/report/tuning/{place}/trials",
    )


def parallel_plot(search: dict[str, Any], place: int) -> Plot | None:
    """Every finished trial as a line through its parameters; the best fifth stands out."""
    done = sorted((one for one in search["trials"] if one["score"] is not None), key=lambda trial: trial["score"])
    names = list(search["searches"][0]["best_parameters"])
    if len(done) < 2 or len(names) < 2:
        return None
    heights = [heights_of([trial["parameters"][name] for trial in done]) for name in names]
    threshold = done[-max(1, len(done) // 5)]["score"]
    good = [trial["score"] >= threshold for trial in done]
    labels = {good.index(True): "best fifth of the trials"}
    if not all(good):
        labels[0] = "other trials"
    places = [float(i) for i in range(len(names))]
    return Plot(
        f"Parameters of {search['member']}",
        f"n = {len(done)} trials; " + ", ".join(f"{i + 1} {name}" for i, name in enumerate(names)),
        "Each line is one trial; its height at a parameter is the rank of its value among the trials.",
        Axis("parameter", -0.1, len(names) - 0.9, [(at, f"{at + 1:.0f}") for at in places]),
        Axis("rank of the value", 0, 1),
        [
            Line(places, [of_name[i] for of_name in heights], labels.get(i, ""), 1 + good[i], faint=not good[i])
            for i in range(len(done))
        ],
        f"/report/tuning/{place}/trials",
    )


def heights_of(values: list[Any]) -> list[float | None]:
    """Rank of each value between 0 and 1: log-scaled and categorical parameters need no scale of their own."""
    distinct = sorted({value for value in values if value is not None}, key=lambda v: (isinstance(v, str), v))
    span = max(len(distinct) - 1, 1)
    return [None if value is None else distinct.index(value) / span for value in values]
