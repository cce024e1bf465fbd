"""Bootstrap replicates as jobs: blocks of draws, each with its own random stream, so the cut changes no figure.

In one process all replicates of a column take less time than cutting them; then nothing is cut.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from data.scores.intervals import block_count, replicate_scores
from data.tables.parquet import read_parquet
from pipeline.execute.files import data_inputs
from pipeline.execute.job import Job
from pipeline.execute.running import run_all
from pipeline.scoring import known_rows
from pipeline.steps.fold_models import stacked
from pipeline.workspace import Workspace

Floats = npt.NDArray[np.float64]
REPLICATES = 1000
BLOCKS_PER_JOB = 5
"""Ranking the lesions costs as much as a few blocks; each job does it once."""


def drawn_scores(space: Workspace, table: str, columns: Iterable[str]) -> dict[str, Floats] | None:
    """Scores of the replicates of columns of a table in the run folder; None where it does not pay to spread them."""
    train = space.data.train
    if not space.executor.spreads:
        return None
    jobs = []
    for column in columns:
        known, _ = known_rows(column_of(space, table, column))
        blocks = block_count(len(np.unique(train.groups[known])), REPLICATES)
        jobs += [replicates_job(space, table, column, first, blocks) for first in range(0, blocks, BLOCKS_PER_JOB)]
    done = {finished.job.arguments: finished.answer for finished in run_all(space, jobs, "intervals over patients")}
    scores: dict[str, list[float]] = {}
    for job in jobs:
        scores.setdefault(str(job.arguments[1]), []).extend(
            np.nan if score is None else score for score in done[job.arguments]
        )
    return {column: np.array(values) for column, values in scores.items()}


def replicates_job(space: Workspace, table: str, column: str, first: int, blocks: int) -> Job:
    """Some blocks of replicates of one column."""
    stop = min(first + BLOCKS_PER_JOB, blocks)
    return Job(
        work="replicates",
        arguments=(table, column, first, stop),
        title=f"replicates of {column}, blocks {first} to {stop - 1}",
        inputs=(*data_inputs(space), f"run/{table}"),
    )


def replicates_of(space: Workspace, table: str, column: str, first: int, stop: int) -> list[float | None]:
    """Do a job of replicates; None where the score is undefined, which JSON has no number for."""
    train = space.data.train
    known, probability = known_rows(column_of(space, table, column))
    scores = replicate_scores(
        train.target[known],
        probability[known],
        train.groups[known],
        score=train.task.score,
        replicates=REPLICATES,
        seed=space.recipe.seed,
        blocks=range(first, stop),
    )
    return [None if np.isnan(score) else float(score) for score in scores]


def column_of(space: Workspace, table: str, column: str) -> Floats:
    """The probabilities of one model or member, a missing one NaN."""
    frame, _ = read_parquet(space.run_dir / table, "Run `fusionnetx submission` again.")
    names = [name for name in frame.columns if name == column or name.startswith(f"{column}:")]
    values = stacked({name: frame[name].cast(float).fill_null(np.nan).to_numpy() for name in names}, column)
    return np.asarray(values, dtype=np.float64)
