"""Everything about stage one on a graphics card in one command of at most eight minutes.

    python -m benchmarks.gpu_check [--device cuda] [--out gpu_check]
    python -m benchmarks.gpu_check --small --device cpu    (seconds, to see that it runs; its figures mean nothing)

Writes `<out>.json` and `<out>.md`. Every section stands alone: one that fails says so, and the others go on. The exit
code is 1 when one failed or found less than is asked for.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.gpu_check import agreement, asking, card, reserved, roster, steps, together, waiting
from benchmarks.gpu_check.setting import Found, Line, Setting
from image_models.device import choose_device

MOST_SECONDS = 480.0
NO_CUDA = "needs a CUDA device"


@dataclass(frozen=True)
class Section:
    """One question."""

    name: str
    measure: Callable[[Setting, dict[str, Found]], Found]
    needs_cuda: bool = False
    rests_on: tuple[str, ...] = ()


SECTIONS = (
    Section("card", card.measure),
    Section("agreement", agreement.measure),
    Section("waiting", waiting.measure, needs_cuda=True),
    Section("reserved", reserved.measure, needs_cuda=True),
    Section("steps", steps.measure),
    Section("asking", asking.measure),
    Section("together", together.measure),
    Section("roster", roster.measure, rests_on=("steps", "asking", "together")),
)


VERDICT = {True: "yes", False: "**no**", None: ""}


def markdown(title: str, lines: list[Line]) -> str:
    """A title and a table."""
    rows = [f"| {line.what} | {line.measured} | {line.wanted} | {VERDICT[line.good]} |" for line in lines]
    return "\n".join([title, "", "| what | measured | asked for | met |", "|---|---|---|---|", *rows]) + "\n"


def answer(section: Section, setting: Setting, found: dict[str, Found], began: float) -> Found | str:
    """What a section finds, or why it finds nothing."""
    if section.needs_cuda and not setting.on_cuda:
        return NO_CUDA
    if time.perf_counter() - began > MOST_SECONDS:
        return f"left out: {MOST_SECONDS:g} s were over"
    lacking = [name for name in section.rests_on if name not in found]
    if lacking:
        return f"left out: rests on {', '.join(lacking)}"
    try:
        return section.measure(setting, found)
    except Exception as error:
        traceback.print_exc()
        return f"failed: {type(error).__name__}: {error}".splitlines()[0]


def check(setting: Setting, out: Path) -> bool:
    """Ask every section and write what they found; whether all of it is as asked for."""
    found: dict[str, Found] = {}
    report: dict[str, object] = {"small": setting.small}
    lines: list[Line] = []
    began = time.perf_counter()
    for section in SECTIONS:
        started = time.perf_counter()
        got = answer(section, setting, found, began)
        seconds = round(time.perf_counter() - started, 1)
        if isinstance(got, Found):
            found[section.name] = got
            report[section.name] = {**got.figures, "seconds": seconds, "lines": [asdict(line) for line in got.lines]}
            new = got.lines
        else:
            report[section.name] = {"nothing": got}
            new = [Line(section.name, got, good=None if got == NO_CUDA else False)]
        lines += new
        for line in new:
            print(
                f"{line.what:45} {line.measured}" + (f"   (asked for: {line.wanted})" if line.wanted else ""),
                flush=True,
            )
    report["seconds"] = round(time.perf_counter() - began, 1)
    title = f"`python -m benchmarks.gpu_check`, {report['seconds']:g} s" + (
        ", small: the figures mean nothing" * setting.small
    )
    out.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    out.with_suffix(".md").write_text(markdown(title, lines))
    print(f"written: {out.with_suffix('.json')}, {out.with_suffix('.md')}")
    return all(line.good is not False for line in lines)


def main() -> int:
    """Read the command line and check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", action="store_true", help="seconds in all, to see that it runs")
    parser.add_argument("--out", type=Path, default=Path("gpu_check"), help="name of both files, without their endings")
    options = parser.parse_args()
    return 0 if check(Setting(choose_device(options.device), options.small), options.out) else 1


if __name__ == "__main__":
    sys.exit(main())
