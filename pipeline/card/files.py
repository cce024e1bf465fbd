"""A run's files as the card reads them."""

from dataclasses import dataclass
from functools import cached_property

from data.recipe import task_of
from data.scores.scores import SCORES
from pipeline.card.figures import Cell, Source
from pipeline.decision import FILE, FOLDER
from pipeline.report.words import UNKNOWN
from pipeline.run import Run


@dataclass(frozen=True)
class Files:
    """Of one run."""

    run: Run

    @cached_property
    def metrics(self) -> Source:
        """Every figure that was computed."""
        return Source.read(self.run.folder, "metrics.json")

    @cached_property
    def report(self) -> Source:
        """Those of `fusionnetx report`."""
        return self.metrics.at("report")

    @cached_property
    def calibration(self) -> Source:
        """How scores become answers."""
        return Source.read(self.run.folder, str(FOLDER / FILE))

    @cached_property
    def recipe(self) -> Source:
        """What was run."""
        return Source(self.run.recipe.model_dump(mode="json"), "recipe.toml#")

    @cached_property
    def score(self) -> str:
        """The score that counts."""
        return str(self.metrics.at("score").value or "auc")

    @cached_property
    def title(self) -> str:
        """Its name for people."""
        return SCORES[self.score].title if self.score in SCORES else self.score

    @cached_property
    def many(self) -> bool:
        """Whether there are more than two classes."""
        task = task_of(self.run.recipe.data)
        return task is not None and len(task.classes) > 2

    @cached_property
    def words(self) -> dict[str, str]:
        """What rows and groups are called."""
        task = task_of(self.run.recipe.data)
        told: dict[str, str] = self.report.at("words").value or (task.words if task else UNKNOWN)
        return told

    @property
    def divisions(self) -> list[Source]:
        """Of the report."""
        found = self.report.at("groups") or self.report.at("class_groups")
        return list(found.at("divisions").each())

    @property
    def group_head(self) -> tuple[str, ...]:
        """Heading of a table of groups; of several classes it is right calls that are counted in each."""
        rows = self.words["rows"].capitalize()
        return ("Group", rows, "Right calls") if self.many else ("Group", rows, "Events", self.title)

    def scored_groups(self, divisions: list[Source]) -> list[tuple[Cell, ...]]:
        """The blend's score in each group."""
        found: list[tuple[Cell, ...]] = []
        for row in (row for division in divisions for row in named(division)):
            score = row.source.at("accuracy" if self.many else self.score)
            events = () if self.many else (row.source.at("positives").show(",d"),)
            counts = (row.source.at("lesions").show(",d"), *events)
            found.append((row.name, *counts, score.interval(".4f") if score else "too few"))
        return found


@dataclass(frozen=True)
class Group:
    """A group of a division of the report."""

    name: str
    source: Source


def named(division: Source) -> list[Group]:
    """Its groups under names that say what divides them."""
    title = division.at("title").value
    return [Group(f"{title}: {one.at('label').value}", one) for one in division.at("groups").each()]
