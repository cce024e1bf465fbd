"""A variant of a run, in a folder of its own inside the run's: what did not change is taken over, the rest is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError
from data.progress import Progress
from pipeline.ablation.reuse import adopt_all
from pipeline.display import Display
from pipeline.facts import STUDIES
from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.recipe import Recipe
from pipeline.run import RECIPE_FILE, Run
from pipeline.runtime import Runtime


@dataclass(frozen=True)
class MadeVariant:
    """A finished variant."""

    inputs: Inputs
    taken: int
    """Boosters that were there already."""
    boosters: int


def made_variant(
    base: Inputs,
    outer: Runtime,
    recipe: Recipe,
    place: Path,
    title: str,
    verb: str = "submission",
    *,
    trains_images: bool = False,
) -> MadeVariant:
    """Do the work of a verb for another recipe on the same data, in `place` below the run's folder.

    What the run or another variant of it has done already is taken over; image models are only trained where it is
    said, otherwise one that is missing is refused.
    """
    run = base.run.derive(recipe=recipe, folder=base.run.folder / place)
    runtime = outer.shown_on(VariantDisplay(outer.display, title))
    inputs = base.of(run, runtime)
    run.record()
    taken, boosters = adopt_all([base.run, *other_variants(base.run, run)], inputs, trains_images=trains_images)
    make(inputs, runtime, verb)
    return MadeVariant(inputs, taken, boosters)


def other_variants(base: Run, own: Run) -> list[Run]:
    """The variants of a run that have been begun, without one of them."""
    found = [path.parent for study in STUDIES for path in sorted(base.folder.glob(f"{study}*/{RECIPE_FILE}"))]
    runs = []
    for folder in found:
        # One that was damaged lends nothing.
        try:
            runs += [Run.open(folder)] if folder != own.folder else []
        except DataError:
            continue
    return runs


class VariantDisplay(Display):
    """The display of one variant: bars and warnings under its title, the same stop, but not what every stage says."""

    def __init__(self, outer: Display, title: str) -> None:
        super().__init__(outer.console)
        self._outer = outer
        self._title = title

    def check_stop(self) -> None:
        """The user stops the whole study."""
        self._outer.check_stop()

    def say(self, text: str, style: str | None = None) -> None:
        """The table says it."""

    def warn(self, text: str) -> None:
        """Warnings are for the user, whoever gives them."""
        self._outer.warn(f"{self._title}: {text}")

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        """A bar that names the variant."""
        with self._outer.task(f"{self._title}: {label}") as progress:
            yield progress
