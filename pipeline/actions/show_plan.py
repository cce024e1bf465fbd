"""The plan of a run for a person (a tree), for Graphviz, and for programs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.tree import Tree

from data.errors import DataError
from pipeline.display import Display
from pipeline.facts import finished_fold_count, recorded_facts
from pipeline.plan import plan
from pipeline.printable import printable
from pipeline.run import Run
from pipeline.step import Step


@dataclass(frozen=True)
class Look:
    """One step as it is now."""

    step: Step
    state: str
    """`done`, `stale`, `missing` or `waits`."""
    reason: str
    """Why it is not done; empty when it is."""
    seconds: float | None
    """What it took."""
    expected: float | None
    """What steps like it took, where it is not done."""


def looks_of(run: Run) -> list[Look]:
    """Every step of a run, against what the run recorded of its data."""
    found = plan(run, recorded_facts(run), finished_fold_count(run))
    taken = {step: float(report["seconds"]) for step in found if (report := step.report()) and "seconds" in report}
    return [look_at(step, taken) for step in found]


def look_at(step: Step, taken: dict[Step, float]) -> Look:
    """The state of one step."""
    try:
        reason = step.stale_reason()
        state = "done" if reason is None else "missing" if step.report() is None else "stale"
    except DataError as error:
        state, reason = "waits", str(error)
    alike = [seconds for other, seconds in taken.items() if other.kind == step.kind and other.key[:1] == step.key[:1]]
    alike = alike or [seconds for other, seconds in taken.items() if other.kind == step.kind]
    expected = fmean(alike) if alike and state != "done" else None
    return Look(step, state, reason or "", taken.get(step) if state == "done" else None, expected)


def print_plan(run: Run, display: Display) -> None:
    """The tree: verbs, stages, steps."""
    looks = looks_of(run)
    done = sum(look.state == "done" for look in looks)
    seconds = sum(look.seconds or 0.0 for look in looks)
    tree = Tree(printable(f"{run.folder}: {done} of {len(looks)} steps are done, {duration(seconds)} of work"))
    for verb, of_verb in grouped(looks, lambda look: look.step.work.verb):
        branch = tree.add(verb)
        for stage, of_stage in grouped(of_verb, lambda look: look.step.work.stage):
            if len(of_stage) == 1:
                branch.add(line(of_stage[0]))
                continue
            twig = branch.add(f"{stage} ({sum(look.state == 'done' for look in of_stage)} of {len(of_stage)} done)")
            for look in of_stage:
                twig.add(line(look))
    display.console.print(tree, markup=False, soft_wrap=False)


def line(look: Look) -> str:
    """`image model vit, fold 3: done, 12.3 s`."""
    time = look.seconds if look.seconds is not None else look.expected
    about = "" if time is None else f", {'about ' if look.seconds is None else ''}{duration(time)}"
    why = f" ({look.reason})" if look.reason and look.reason != "not run yet" else ""
    return printable(f"{look.step.name}: {look.state}{about}{why}")


def duration(seconds: float) -> str:
    """`12.3 s`, `4 min 10 s`, `2 h 5 min`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def grouped(looks: Iterable[Look], key: Any) -> list[tuple[str, list[Look]]]:
    """By a name, in the order in which the names first come."""
    found: dict[str, list[Look]] = {}
    for look in looks:
        found.setdefault(key(look), []).append(look)
    return list(found.items())


def plan_json(run: Run) -> str:
    """Every step with its state, what it needs and what it wrote."""
    rows = [
        {
            "kind": look.step.kind,
            "key": list(look.step.key),
            "name": look.step.name,
            "verb": look.step.work.verb,
            "stage": look.step.work.stage,
            "folder": str(look.step.folder.relative_to(run.folder)),
            "state": look.state,
            "reason": look.reason,
            "seconds": look.seconds,
            "expected_seconds": look.expected,
            "needs": needed(look.step),
            "artefacts": list(look.step.artefacts()),
        }
        for look in looks_of(run)
    ]
    return json.dumps({"run": str(run.folder), "invented": run.invented, "steps": rows}, indent=2)


def needed(step: Step) -> list[str]:
    """Names of the steps that a step needs."""
    steps = [need.step for need in step.needs if need.step is not None] + ([step.waits_for] if step.waits_for else [])
    return list(dict.fromkeys(other.name for other in steps))


COLOURS = {"done": "palegreen", "stale": "khaki", "missing": "white", "waits": "lightgrey"}


def plan_dot(run: Run) -> str:
    """The graph for Graphviz: an arrow from what is needed to what needs it."""
    lines = ["digraph plan {", "  rankdir=LR;", '  node [shape=box, style=filled, fontname="sans-serif"];']
    for look in looks_of(run):
        lines.append(f"  {quoted(look.step.name)} [fillcolor={COLOURS[look.state]}];")
        lines += [f"  {quoted(other)} -> {quoted(look.step.name)};" for other in needed(look.step)]
    return "\n".join([*lines, "}"])


def quoted(name: str) -> str:
    """A name as Graphviz takes any."""
    return json.dumps(printable(name), ensure_ascii=False)
