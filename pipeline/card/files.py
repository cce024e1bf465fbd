"""A run's files as the card reads them."""

from dataclasses import dataclass
from functools import cached_property

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

    @property
    def words(self) -> dict[str, str]:
        """What lesions and patients are called in these data."""
        return dict(self.report.at("words").value or UNKNOWN)

    @property
    def divisions(self) -> list[Source]:
        """Of the report."""
        found = self.report.at("groups") or self.report.at("class_groups")
        return list(found.at("divisions").each())

    def scored_groups(self, divisions: list[Source]) -> list[tuple[Cell, ...]]:
        """The blend's score in each group."""
        return [
            (f"{division.at('title').value}: {row.at('label').value}", row.at("lesions").show(",d"),
             row.at("positives").show(",d"),
             (row.at(self.score) or row.at("accuracy")).interval(".4f")
             if row.at(self.score) or row.at("accuracy") else "too few")
            for division in divisions for row in division.at("groups").each()
        ]  # fmt: skip
