"""One run folder as a comparison sees it: what its steps reported, and its columns where its lesions can be read.

A look alone: nothing is checked against the recipe that is shipped today, nothing is made or written, so runs of an
earlier version can stand beside new ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from data.errors import DataError, FusionNetXError
from pipeline.actions.opening import existing_run
from pipeline.facts import finished_fold_count, recorded_facts
from pipeline.inputs import Inputs
from pipeline.plan import Plan, plan
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.step_reports import artefact_trouble, read_step_report

STAGES = {"stage_one": "oof", "stage_two": "tabular"}
"""Verbs whose jobs are the work of each stage."""


@dataclass(frozen=True)
class Side:
    """One run."""

    label: str
    plan: Plan
    inputs: Inputs | None
    """With the lesions that the run was made from; None where they are not at hand."""

    @property
    def run(self) -> Run:
        """What was run."""
        return self.plan.run

    @cached_property
    def stage_two(self) -> dict[str, Any]:
        """The report of the blend."""
        return read_step_report(self.run.folder / "tabular" / "report.json") or {}

    @cached_property
    def submission(self) -> dict[str, Any]:
        """The report of the submission; empty where there is none."""
        return read_step_report(self.run.folder / "submission.json") or {}

    @property
    def score(self) -> str:
        """The score of its task."""
        scored = self.stage_two["scores"]["blend"]
        return str(next((name for name, figures in scored.items() if "low" in figures), next(iter(scored))))

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Cross-validated scores of every column, the blend first, then members, then image models."""
        members = self.stage_two["scores"]
        asked = self.run.recipe.image_models
        stage_one = read_step_report(self.run.folder / "oof" / "report.json") if asked else None
        return {"blend": members["blend"], **members, **(stage_one or {}).get("scores", {})}

    def seconds(self) -> dict[str, float]:
        """Work of the two stages, summed over jobs."""
        done = [(step.work.verb, step.work.here, step.report() or {}) for step in self.plan]
        return {
            stage: sum(
                float(report.get("seconds", 0.0))
                for verb, here, report in done
                if verb == of_stage and (verb == "tabular" or not here)
            )
            for stage, of_stage in STAGES.items()
        }


def open_side(name: str, data_dir: Path | None, runtime: Runtime) -> Side:
    """Open a run by name or path; one without a whole blend is refused."""
    run = existing_run(name)
    table, report = run.folder / "tabular" / "oof.parquet", read_step_report(run.folder / "tabular" / "report.json")
    if report is None:
        raise DataError(
            f"run {run.folder} has not finished stage two; run `fusionnetx tabular --run {run.folder}` first"
        )
    if "oof.parquet" not in report["artefacts"] or not has_scores(report):
        raise DataError(
            f"{run.folder}/tabular/report.json is damaged; run `fusionnetx tabular --run {run.folder}` again"
        )
    trouble = artefact_trouble(table, report["artefacts"]["oof.parquet"])
    if trouble:
        raise DataError(f"{table} {trouble}; run `fusionnetx tabular --run {run.folder}` again")
    facts = recorded_facts(run)
    inputs = lesions_of(run, facts.train_table, data_dir, runtime)
    return Side(run.name, plan(run, facts, finished_fold_count(run)), inputs)


def has_scores(report: dict[str, Any]) -> bool:
    """Whether a report holds figures of every column, the blend among them, as the comparison shows them."""
    scores = report.get("scores")
    return (
        isinstance(scores, dict)
        and bool(scores.get("blend"))
        and all(
            isinstance(of_column, dict) and all(isinstance(figures, dict) for figures in of_column.values())
            for of_column in scores.values()
        )
    )


def lesions_of(run: Run, checksum: str, data_dir: Path | None, runtime: Runtime) -> Inputs | None:
    """The run's inputs, from the folder given or where the run says they are, if its lesions are those it recorded."""
    for candidate in [run, *([run.derive(data_dir=data_dir)] if data_dir is not None else [])]:
        inputs = Inputs(candidate, runtime)
        try:
            if inputs.data.train.fingerprint == checksum:
                return inputs
        except FusionNetXError as error:
            runtime.display.warn(f"run {run.name}: its lesions cannot be read: {error}")
    return None


def distinct(sides: Sequence[Side]) -> list[Side]:
    """Runs of one name are told apart by their paths."""
    names = [side.label for side in sides]
    return [replace(side, label=str(side.run.folder)) if names.count(side.label) > 1 else side for side in sides]
