"""Cohort: the validated lesion table and the task it poses; DataFolder: what one folder of files held.

Readers (`data/readers/`) make these; every later stage takes them. Nothing here reads a file.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from data.ids import as_ids
from data.images.sources import ImageSource


@dataclass(frozen=True)
class Task:
    """What is to be predicted, for whom, and how it is scored."""

    lesion: str
    """Column that names a row (ISIC 2024: isic_id)."""
    group: str
    """Column whose values must stay in one fold (ISIC 2024: patient_id)."""
    target: str
    """Column with the class index, 0 to len(classes) - 1 (binary: 1 = malignant)."""
    classes: tuple[str, ...] = ("benign", "malignant")
    score: str = "pauc"
    """Name of the score that counts, in `data.scores.scores.SCORES`."""
    row_noun: str = "lesion"
    """What a row stands for, in the singular: lesion, image, sample."""
    group_noun: str = "patient"
    """What a value of the group column stands for, in the singular: patient, lesion, image."""
    malignant: tuple[str, ...] = ()
    """Of several classes, those that are cancer or on the way to it; none where nobody said."""

    @property
    def probability_columns(self) -> tuple[str, ...]:
        """Columns of a predictions table: the positive class alone when binary, else one per class."""
        return self.classes[1:] if len(self.classes) == 2 else self.classes

    @property
    def words(self) -> dict[str, str]:
        """What people are told of rows and groups: `row`, `rows`, `group`, `groups`."""
        row, group = self.row_noun, self.group_noun
        return {"row": row, "rows": f"{row}s", "group": group, "groups": f"{group}s"}


@dataclass(frozen=True)
class Cohort:
    """One validated table of lesions; columns as published, every spelling of missing turned into null."""

    table: pl.DataFrame
    task: Task
    labelled: bool
    """True when the table carries the target (training), False for a test table."""
    forbidden: frozenset[str] = frozenset()
    """Columns that exist only where the answer is known (and the target itself): never a feature."""
    fingerprint: str = ""
    """Checksum of the file the table came from."""

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """Lesion ids in table order."""
        return as_ids(self.table[self.task.lesion].to_list(), self.task.lesion)

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """Ids of the groups (patients, or whatever the task keeps together) in table order."""
        return as_ids(self.table[self.task.group].to_list(), self.task.group)

    @property
    def target(self) -> npt.NDArray[np.int64]:
        """Class index of every lesion, in table order; only for labelled cohorts."""
        return self.table[self.task.target].to_numpy().astype(np.int64)


@dataclass(frozen=True)
class DataFolder:
    """What one data folder held: a training cohort, perhaps a test cohort, and where their images are."""

    train: Cohort
    test: Cohort | None
    train_images: ImageSource | None
    """None for a data set of tables alone."""
    test_images: ImageSource | None
    submission_ids: npt.NDArray[np.str_] | None = None
    """Ids of sample_submission.csv in its order; None when the folder has none."""
    notes: tuple[str, ...] = field(default=())
    """Things worth a warning that do not stop the run (unseen categories, extra columns)."""
    understood: tuple[str, ...] = ()
    """How tables of no fixed form were read: separator, decimal mark, encoding."""
    invented: bool = False
    """True for what this project generated: no figure about it says anything about skin."""
