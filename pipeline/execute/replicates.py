"""Bootstrap replicates as jobs: blocks of draws, each with its own random stream, so the cut changes no figure.

In one process all replicates of a column take less time than cutting them; then nothing is cut.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.scores.intervals import block_count, replicate_scores
from pipeline.columns import read_columns, stacked
from pipeline.execute.files import data_files
from pipeline.execute.job import Job
from pipeline.execute.running import run_all
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime
from pipeline.scoring import known_rows

Floats = npt.NDArray[np.float64]
REPLICATES = 1000
BLOCKS_PER_JOB = 5
"""Ranking the lesions costs as much as a few blocks; each job does it once."""


def drawn_scores(inputs: Inputs, runtime: Runtime, path: Path, columns: Iterable[str]) -> dict[str, Floats] | None:
    """Scores of the replicates of columns of a table in the run folder; None where it does not pay to spread them."""
    if not runtime.executor.spreads:
        return None
    table = path.relative_to(inputs.run.folder).as_posix()
    jobs = []
    for column in columns:
        known, _ = known_rows(column_of(inputs, table, column))
        blocks = block_count(len(np.unique(inputs.data.train.groups[known])), REPLICATES)
        jobs += [replicates_job(inputs, table, column, first, blocks) for first in range(0, blocks, BLOCKS_PER_JOB)]
    done = run_all(inputs, runtime, jobs, f"intervals over {inputs.data.train.task.words['groups']}")
    answers = {finished.job.arguments: finished.answer for finished in done}
    scores: dict[str, list[float]] = {}
    for job in jobs:
        scores.setdefault(str(job.arguments[1]), []).extend(
            np.nan if score is None else score for score in answers[job.arguments]
        )
    return {column: np.array(values) for column, values in scores.items()}


def replicates_job(inputs: Inputs, table: str, column: str, first: int, blocks: int) -> Job:
    """Some blocks of replicates of one column."""
    stop = min(first + BLOCKS_PER_JOB, blocks)
    return Job(
        function="pipeline.execute.replicates:replicates_of",
        arguments=(table, column, first, stop),
        title=f"replicates of {column}, blocks {first} to {stop - 1}",
        inputs=(*data_files(inputs), f"run/{table}"),
    )


def replicates_of(
    inputs: Inputs, runtime: Runtime, table: str, column: str, first: int, stop: int
) -> list[float | None]:
    """Do a job of replicates; None where the score is undefined, which JSON has no number for."""
    train = inputs.data.train
    known, probability = known_rows(column_of(inputs, table, column))
    scores = replicate_scores(
        train.target[known],
        probability[known],
        train.groups[known],
        score=train.task.score,
        replicates=REPLICATES,
        seed=inputs.run.recipe.seed,
        blocks=range(first, stop),
    )
    return [None if np.isnan(score) else float(score) for score in scores]


def column_of(inputs: Inputs, table: str, column: str) -> Floats:
    """The probabilities of one model or member, a missing one NaN."""
    found = stacked(read_columns(inputs.run.folder / table, inputs.data.train.ids), column)
    return np.asarray(found, dtype=np.float64)
