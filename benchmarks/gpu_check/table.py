"""The findings for people: one table, as docs/performance.md takes it."""

from benchmarks.gpu_check.setting import Line

VERDICT = {True: "yes", False: "**no**", None: ""}


def markdown(title: str, lines: list[Line]) -> str:
    """A title and a table."""
    rows = [f"| {line.what} | {line.measured} | {line.wanted} | {VERDICT[line.good]} |" for line in lines]
    return "\n".join([title, "", "| what | measured | asked for | met |", "|---|---|---|---|", *rows]) + "\n"
