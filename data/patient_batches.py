"""A metadata table larger than memory, cut at patient borders into batches that fit.

The CSV file is read once as a stream and its rows go into Parquet files by a hash of the patient, so every batch holds
all lesions of its patients and each patient is in one batch. Each batch is then validated like a whole table.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.cohort import Cohort, Task
from data.errors import DataError
from data.progress import Progress, silent
from data.spelled import spelled
from data.tables.csv import ROW, TextTable
from data.tables.schema import Column, validate

CHUNK_ROWS = 100_000
"""Rows of the stream that are in memory at once."""


@dataclass(frozen=True)
class PatientBatches:
    """The rows of one table by batch, as texts in Parquet files."""

    folder: Path
    name: str
    """Of the CSV file, for messages."""
    count: int
    rows: int
    task: Task
    columns: tuple[Column, ...]
    labelled: bool
    forbidden: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Cohort]:
        """One validated cohort per batch, in file order within the batch; patients without rows leave none empty."""
        for batch in range(self.count):
            files = sorted((self.folder / f"{batch:05d}").glob("*.parquet"))
            if files:
                yield self._cohort(pl.concat([pl.read_parquet(file) for file in files]))

    def _cohort(self, frame: pl.DataFrame) -> Cohort:
        # Lines are unknown in a stream, because cells may hold line breaks; rows are not.
        checked = validate(TextTable(self.name, frame, (), "", one_row_per_line=False), self.columns)
        if checked.errors:
            raise DataError(f"{self.name}: " + "; ".join(checked.errors))
        return Cohort(checked.table, self.task, self.labelled, self.forbidden)


def cut(
    path: Path,
    folder: Path,
    columns: Sequence[Column],
    task: Task,
    *,
    rows_per_batch: int,
    labelled: bool,
    forbidden: frozenset[str] = frozenset(),
    progress: Progress = silent,
) -> PatientBatches:
    """Write the batches of a CSV file into an empty folder; DataError where it cannot be read or repeats a lesion."""
    try:
        with spelled(path) as name:
            lazy = pl.scan_csv(name, infer_schema=False)
            present = set(lazy.collect_schema().names())
            missing = [column for column in (task.lesion, task.group) if column not in present]
            if missing:
                raise DataError(
                    f"{path} has no column {' and no column '.join(missing)}; it names lesions and patients"
                )
            rows = int(lazy.select(pl.len()).collect(engine="streaming").item())
            if not rows:
                raise DataError(f"{path} has a header but no rows")
            repeated = lazy.group_by(task.lesion).len().filter(pl.col("len") > 1).head(3).collect(engine="streaming")
            if repeated.height:
                raise DataError(
                    f"{path}: {task.lesion} is not unique ({', '.join(map(str, repeated[task.lesion]))}, ...)"
                )
            count = -(-rows // rows_per_batch)
            done = 0
            chunks = lazy.with_row_index(ROW).collect_batches(chunk_size=CHUNK_ROWS, engine="streaming")
            for number, chunk in enumerate(chunks):
                write_chunk(chunk, folder, number, task.group, count)
                done += chunk.height
                progress(done, rows)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as a CSV file: {str(error).splitlines()[0]}") from error
    return PatientBatches(folder, path.name, count, rows, task, tuple(columns), labelled, forbidden)


def write_chunk(chunk: pl.DataFrame, folder: Path, number: int, group: str, count: int) -> None:
    """Add the rows of one chunk to their batches."""
    patients = chunk[group].unique().to_list()
    batch_of = pl.DataFrame({group: patients, "batch": [batch_number(patient, count) for patient in patients]})
    numbered = chunk.join(batch_of, on=group, how="left", nulls_equal=True, maintain_order="left")
    for key, part in numbered.partition_by("batch", as_dict=True, include_key=False).items():
        target = folder / f"{key[0]:05d}"
        target.mkdir(parents=True, exist_ok=True)
        part.write_parquet(target / f"{number:06d}.parquet", compression="lz4")


def batch_number(patient: str | None, count: int) -> int:
    """The batch of a patient, the same on every machine and in every version of every library."""
    digest = hashlib.blake2b((patient or "").strip().encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count
