"""What differs between two runs, and why: recipe, inputs, versions, machine, or nothing that was recorded.

Reads the records alone. A difference that only follows from an earlier one is told apart from one that has a cause of
its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import FusionNetXError, RecipeError
from data.files import read_object
from pipeline.facts import finished_fold_count, recorded_facts, reports_of
from pipeline.integrity.records import lasting
from pipeline.plan import plan
from pipeline.recipe import Recipe, load_recipe
from pipeline.run import Run
from pipeline.step_reports import changed_keys

INTERVAL = ("estimate", "low", "high")


@dataclass(frozen=True)
class Difference:
    """A step that is not the same in both runs."""

    step: str
    files: tuple[str, ...]
    """Artefacts that differ, relative to the run folder."""
    causes: tuple[str, ...]
    """Why, as far as the records say."""
    unexplained: bool
    """True when everything recorded is equal and the files differ all the same."""


@dataclass(frozen=True)
class RunDiff:
    """Two runs side by side."""

    recipe: tuple[str, ...]
    """Keys that differ, with both values."""
    surroundings: tuple[str, ...]
    """Versions, machines, threads and commits that differ."""
    steps: tuple[Difference, ...]
    only_left: tuple[str, ...]
    only_right: tuple[str, ...]
    scores: tuple[tuple[str, float | None, float | None], ...]
    """Name of each score that differs, in both runs."""

    @property
    def same_results(self) -> bool:
        """True when both made the same files with the same content."""
        return not (self.steps or self.only_left or self.only_right)


def diff_runs(left: Path, right: Path) -> RunDiff:
    """Compare two run folders."""
    ours, theirs = reports_of(left), reports_of(right)
    # What only one of them has a plan for comes after what both have.
    order = [*order_of(left, ours), *order_of(right, theirs)]
    places = {path: place for place, path in reversed(list(enumerate(order)))}

    def rank(path: str) -> tuple[int, str]:
        return places.get(path, len(places)), path

    both = sorted(ours.keys() & theirs.keys(), key=rank)
    found = [difference(path, ours[path], theirs[path]) for path in both]
    return RunDiff(
        recipe=recipe_changes(left, right),
        surroundings=surroundings(ours, theirs),
        steps=tuple(one for one in found if one is not None),
        only_left=tuple(ours[path]["step"] for path in sorted(ours.keys() - theirs.keys(), key=rank)),
        only_right=tuple(theirs[path]["step"] for path in sorted(theirs.keys() - ours.keys(), key=rank)),
        scores=differing_scores(*(read_object(run / "metrics.json") or {} for run in (left, right))),
    )


def order_of(folder: Path, reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Reports of a run in the order in which one thing follows from another; none where its recipe cannot be read."""
    try:
        run = Run.open(folder)
        steps = plan(run, recorded_facts(run, reports), finished_fold_count(run))
    except FusionNetXError:
        return []
    return [str(step.report_path.relative_to(folder)) for step in steps]


def difference(path: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Difference | None:
    """What differs between two reports of the same step; None when the result is the same."""
    mine, other = (
        {name: facts["sha256"] for name, facts in lasting(report["artefacts"]).items()} for report in (ours, theirs)
    )
    folder = Path(path).parent
    files = tuple(str(folder / name) for name in sorted({*mine, *other}) if mine.get(name) != other.get(name))
    if not files:
        return None
    causes = [
        *changed_keys({"settings": ours["settings"]}, {"settings": theirs["settings"]}, ""),
        *changed_keys({"inputs": ours["inputs"]}, {"inputs": theirs["inputs"]}, ""),
    ]
    around = [*changed_keys(around_of(ours), around_of(theirs), "")]
    return Difference(ours["step"], files, tuple(causes or around), unexplained=not causes and not around)


def around_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What can change a result without being part of its settings or inputs."""
    return {"versions": report.get("versions"), "machine": report.get("machine"), "commit": report.get("commit")}


def recipe_changes(left: Path, right: Path) -> tuple[str, ...]:
    """Keys of recipe.toml that differ; a recipe that cannot be read is named."""
    try:
        return changed_recipe(*(load_recipe(str(run / "recipe.toml")) for run in (left, right)))
    except RecipeError as error:
        return (str(error),)


def changed_recipe(old: Recipe, new: Recipe) -> tuple[str, ...]:
    """Keys of two recipes that differ; models and members are told apart by their names."""
    named = [
        {**recipe, "image_models": by_name(recipe["image_models"])}
        | {"tabular": {**recipe["tabular"], "members": by_name(recipe["tabular"]["members"])}}
        for recipe in (old.model_dump(mode="json"), new.model_dump(mode="json"))
    ]
    return tuple(changed_keys(named[0], named[1], ""))


def by_name(tables: list[dict[str, Any]]) -> dict[str, Any]:
    """An array of named tables as a table, so that another order is no difference."""
    return {str(table["name"]): table for table in tables}


def surroundings(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, ...]:
    """Every value of versions, machine and commit that the steps of one run have and the other's have not."""
    left, right = (values_of(reports) for reports in (ours, theirs))
    return tuple(
        f"{key} {told(left.get(key))} -> {told(right.get(key))}"
        for key in dict.fromkeys([*left, *right])
        if left.get(key) != right.get(key)
    )


def values_of(reports: Mapping[str, Any]) -> dict[str, set[str]]:
    """`versions.torch` -> its values over all steps; a thread count that a step had no use for is left out."""
    values: dict[str, set[str]] = {}
    for report in reports.values():
        for part, facts in around_of(report).items():
            for key, value in facts.items() if isinstance(facts, Mapping) else ((None, facts),):
                if value is not None:
                    values.setdefault(part if key is None else f"{part}.{key}", set()).add(str(value))
    return values


def told(values: set[str] | None) -> str:
    """One value, several, or none."""
    return " and ".join(sorted(values)) if values else "none"


def differing_scores(ours: Any, theirs: Any) -> tuple[tuple[str, float | None, float | None], ...]:
    """Every estimate of metrics.json that is not the same in both, by its path there."""
    left, right = dict(estimates(ours, "")), dict(estimates(theirs, ""))
    return tuple(
        (name, left.get(name), right.get(name))
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    )


def estimates(value: Any, path: str) -> list[tuple[str, float | None]]:
    """`cross_validated.members.blend.pauc` -> estimate, for every score that has an interval."""
    if not isinstance(value, Mapping):
        return []
    if set(INTERVAL) <= value.keys():
        return [(path, value["estimate"])]
    return [
        found
        for key, inner in value.items()
        if key != "report"
        for found in estimates(inner, f"{path}.{key}" if path else str(key))
    ]
