"""Plots of the parameter searches: the history of scores, and every trial through its parameters."""

from typing import Any

from pipeline.report.svg import Axis, Dots, Line, Plot, whole_ticks


def history_plot(search: dict[str, Any], place: int) -> Plot:
    """Score of every finished trial and the best so far."""
    done = [trial for trial in search["trials"] if trial["score"] is not None]
    x, y = [trial["trial"] + 1 for trial in done], [trial["score"] for trial in done]
    best = [max(y[: i + 1]) for i in range(len(y))]
    spread = (max(y) - min(y)) or 0.01
    pruned = len(search["trials"]) - len(done)
    return Plot(
        f"Search of {search['member']}",
        f"n = {len(done)} finished trials, {pruned} stopped early or failed; mean pAUC over the folds searched on",
        f"The best trial scores {max(y):.4f}, the first one {y[0]:.4f}.",
        Axis("trial", 0.5, max(x) + 0.5, whole_ticks(max(x))),
        Axis("pAUC", min(y) - 0.08 * spread, max(y) + 0.08 * spread),
        [Dots(x, y, "trial", 1), Line(x, best, "best so far", 2, step=True)],
        f"/report/tuning/{place}/trials",
    )


def parallel_plot(search: dict[str, Any], place: int) -> Plot | None:
    """Every finished trial as a line through its parameters; the best fifth stands out."""
    done = [trial for trial in search["trials"] if trial["score"] is not None]
    names = list(search["best_parameters"])
    if len(done) < 2 or len(names) < 2:
        return None
    heights = {name: heights_of([trial["parameters"][name] for trial in done]) for name in names}
    threshold = sorted((trial["score"] for trial in done), reverse=True)[max(0, len(done) // 5 - 1)]
    lines = sorted(range(len(done)), key=lambda i: done[i]["score"])
    labelled: set[bool] = set()
    layers = []
    for i in lines:
        good = done[i]["score"] >= threshold
        text = "" if good in labelled else "best fifth of the trials" if good else "other trials"
        labelled.add(good)
        layers.append(
            Line(list(range(len(names))), [heights[name][i] for name in names], text, 2 if good else 1, faint=not good)
        )
    ticks = [(float(i), str(i + 1)) for i in range(len(names))]
    return Plot(
        f"Parameters of {search['member']}",
        f"n = {len(done)} trials; " + ", ".join(f"{i + 1} {name}" for i, name in enumerate(names)),
        "Each line is one trial; its height at a parameter is the rank of its value among the trials.",
        Axis("parameter", -0.1, len(names) - 0.9, ticks),
        Axis("rank of the value", 0, 1),
        layers,
        f"/report/tuning/{place}/trials",
    )


def heights_of(values: list[Any]) -> list[float | None]:
    """Rank of each value between 0 and 1: log-scaled and categorical parameters need no scale of their own."""
    distinct = sorted({value for value in values if value is not None}, key=lambda v: (isinstance(v, str), v))
    span = max(len(distinct) - 1, 1)
    return [None if value is None else distinct.index(value) / span for value in values]
