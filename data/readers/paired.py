"""Dermoscopy joined to TCGA-SKCM patients, who are other people: every pairing is artificial, and says which one it is.

The data folder holds both data sets. A table of pairs joins whom it names. Pairing by label, which a hybrid of the two
data sets needs to show a high figure, hands the answer over through the patient's columns: it has its own name and is
never the default, and pairing at random beside it shows what is left without that gift.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from data.cohort import Cohort, DataFolder, Task
from data.errors import DataError
from data.files import fingerprint
from data.progress import Progress, silent
from data.readers import READERS, tcga_skcm
from data.readers.expression import PREFIX as RNA
from data.readers.reading import BoundReader, FolderError, Reader, Readout, ToldColumns, Unlabelled
from data.schemas.tcga_skcm import PATIENT_SCHEMA, PATIENTS, PRIMARY_SCHEMA, SAMPLE_SCHEMA, TASK
from data.strict import Strict
from data.synthetic.recipe import GENERATION, TwinRecipe
from data.tables.csv import ROW, read_csv
from data.tables.schema import Column, validate
from data.tables.text_rows import read_tab_separated
from data.whole_folder import is_invented, write_manifest

PREFIX = "tcga_"
"""Before the name of every column that comes from the patient, so that no column of the lesion is hidden."""

PATIENT = f"{PREFIX}{TASK.group}"
GROUP = "pair_group"

PAIRS_SCHEMA = (
    Column("image_id", "text", nullable=False, unique=True),
    Column("patient_id", "text", nullable=False),
)

CLINICAL = tuple(
    replace(column, name=f"{PREFIX}{column.name}")
    for column in (*SAMPLE_SCHEMA, *PATIENT_SCHEMA[1:], *PRIMARY_SCHEMA[1:])
    if not column.train_only and column.name not in (TASK.lesion, TASK.group)
)
"""The patients' columns that a lesion gets."""

TOLD = (
    *("AGE", "SEX", "PATH_T_STAGE", "BRESLOW_DEPTH", "CLARK_LEVEL", "ULCERATION", "MITOTIC_RATE"),
    *("ANEUPLOIDY_SCORE", "TMB_NONSYNONYMOUS"),
)
"""The patients' columns that a network may be told."""

NOTES = {
    "none": "no lesion is paired with a patient: the tcga_ columns are empty",
    "at_random": "lesions are paired with patients at random: the tcga_ columns can tell nothing of the lesion",
    "by_label": "lesions are paired with patients BY LABEL, malignant ones with patients who have a metastasis: the "
    "tcga_ columns tell the label that is to be predicted{folds}. Scores show the pairing, not what is known of a "
    "lesion; compare data.pairing.method = 'at_random'",
}
"""What each way to pair without a table does, told at every run."""
SEVERAL_FOLDS = ", and a patient occurs in several folds"
METASTASIS = (
    "the answer is whether the patient's specimen was a metastasis; {0:,} lesions without a patient are left out"
)


class PairingRecipe(Strict):
    """Which lesions are joined to which patients."""

    lesions: str = "ham10000_binary"
    """Reader of the dermoscopic images, of two classes."""
    lesions_folder: str = "ham10000"
    """Their folder, below the data folder."""
    patients_folder: str = "tcga_skcm"
    """The folder of the clinical tables, below the data folder."""
    method: Literal["table", "at_random", "by_label", "none"] = "table"
    """`table`: as given; `by_label`: malignant lesions get patients with a metastasis, which leaks the label;
    `at_random`: the same draw without a look at the label; `none`: the patients' columns stay empty."""
    table: str = "pairing.csv"
    """Columns image_id and patient_id, below the data folder; for the method of that name."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    predicts: Literal["diagnosis", "metastasis"] = "diagnosis"
    """Of the lesion, or of the patient it is paired with; the latter leaves lesions without a patient out."""

    @model_validator(mode="after")
    def _somebody_to_predict(self) -> "PairingRecipe":
        if self.predicts == "metastasis" and self.method == "none":
            raise ValueError("predicts = 'metastasis' needs patients, and method = 'none' gives no lesion one")
        return self

    @field_validator("lesions")
    @classmethod
    def _two_classes_of_images(cls, name: str) -> str:
        if name not in READERS:
            raise ValueError(READERS.unknown(name))
        fitting = [
            reader.name
            for reader in READERS.values()
            if reader.has_images and reader.task is not None and len(reader.task.classes) == 2
        ]
        if name not in fitting:
            raise ValueError(f"a pairing takes images of two classes; {name!r} is none of {', '.join(fitting)}")
        return name


@dataclass(frozen=True)
class Paired:
    """Reads two data sets joined as a recipe says."""

    recipe: PairingRecipe
    reader: BoundReader
    """Of the lesions."""

    def read(self, folder: Path, /) -> DataFolder:
        """Read both data sets and give every lesion the columns of its patient."""
        lesions = self.reader.read(folder / self.recipe.lesions_folder)
        patients = tcga_skcm.read(folder / self.recipe.patients_folder)
        pairs, checksum, note = self._pairs(folder, lesions.train, patients.train)
        train = _joined(lesions.train, patients.train, pairs)
        metastasis = self.recipe.predicts == "metastasis"
        if self.recipe.method == "table" or metastasis:
            # Two lesions of one patient must not be on both sides of a fold, nor two images of one lesion.
            train = replace(
                train,
                table=train.table.with_columns(pl.Series(GROUP, _components(lesions.train.groups, pairs))),
                task=replace(train.task, group=GROUP, group_noun="pair group"),
                forbidden=train.forbidden | {lesions.train.task.group},
            )
        inputs = [lesions.train.fingerprint, patients.train.fingerprint, checksum, self.recipe.model_dump()]
        notes = (note, *lesions.notes, *patients.notes)
        if metastasis:
            notes = (METASTASIS.format(pairs.count(None)), *notes)
            train = _asked_of_patients(train, patients.train, folder)
        train = replace(train, fingerprint=fingerprint(inputs))
        return DataFolder(train, None, lesions.train_images, None, notes=notes)

    def read_test(self, metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
        """Read lesions to predict: one table with the lesions' columns and, under `tcga_` names, the patients'."""
        lesions, images, notes = self.reader.read_test(metadata_path, images_path)
        text = read_csv(metadata_path)
        levels = [name for name in text.columns if name.startswith(f"{PREFIX}{RNA}")]
        schema = (*CLINICAL, *(Column(name, "number", "", 0, 64) for name in levels))
        clinical = text.frame.select(ROW, *(name for name in text.columns if name in {c.name for c in schema}))
        checked = validate(replace(text, frame=clinical, duplicated=()), schema)
        if checked.errors:
            raise FolderError(metadata_path.parent, Readout(errors=[f"{text.name}: {e}" for e in checked.errors]))
        task = _of_patients(lesions.task) if self.recipe.predicts == "metastasis" else lesions.task
        cohort = replace(lesions, table=pl.concat([lesions.table, checked.table], how="horizontal"), task=task)
        # The lesions' reader does not know the patients' columns, which is no news here.
        return cohort, images, tuple(note for note in notes if PREFIX not in note)

    def write_twin(self, folder: Path, recipe: TwinRecipe, progress: Progress, /) -> None:
        """Write the twins of both data sets, and pairs that are drawn without a look at any label."""
        from data.synthetic.paired import draw_pairs

        lesions_folder, patients_folder = folder / self.recipe.lesions_folder, folder / self.recipe.patients_folder
        for part in (lesions_folder, patients_folder):
            part.mkdir(parents=True)
        self.reader.write_twin(lesions_folder, recipe, progress)
        tcga_skcm.write_twin(patients_folder, recipe, silent)
        for part in (lesions_folder, patients_folder):
            # Each is invented by itself too, for whoever takes it out of this folder.
            if not is_invented(part):
                write_manifest(part, {"generation": GENERATION, "recipe": recipe.model_dump(mode="json")})
        lesions = self.reader.read(lesions_folder).train
        patients = read_tab_separated(patients_folder / PATIENTS).frame["PATIENT_ID"].to_list()
        draw_pairs(lesions, patients, recipe.seed).write_csv(folder / self.recipe.table)

    def _pairs(self, folder: Path, lesions: Cohort, patients: Cohort) -> tuple[list[str | None], str, str]:
        """A patient (or nobody) for every lesion, a checksum of where that comes from, and a note to say so."""
        known = dict.fromkeys(patients.table[patients.task.group].to_list())
        if self.recipe.method == "table":
            return _pairs_of_table(folder / self.recipe.table, lesions, list(known))
        if self.recipe.method == "none":
            return [None] * len(lesions.ids), "", NOTES["none"]
        pairs = _drawn(lesions, patients, self.recipe.method == "by_label", self.recipe.seed)
        folds = "" if self.recipe.predicts == "metastasis" else SEVERAL_FOLDS
        return pairs, "", NOTES[self.recipe.method].format(folds=folds)


def _pairs_of_table(path: Path, lesions: Cohort, known: Sequence[str]) -> tuple[list[str | None], str, str]:
    text = read_csv(path)
    checked = validate(text, PAIRS_SCHEMA)
    errors = list(checked.errors)
    if not errors:
        for column, there, what in (
            ("image_id", lesions.ids.tolist(), "no lesion of the images' table"),
            ("patient_id", list(known), "no patient of the clinical tables"),
        ):
            strange = sorted(set(checked.table[column].to_list()) - set(there))
            if strange:
                errors.append(f"column {column}: {len(strange):,} name {what} ({', '.join(strange[:3])})")
    if errors:
        raise FolderError(path.parent, Readout(errors=[f"{path.name}: {error}" for error in errors]))
    given = dict(zip(checked.table["image_id"], checked.table["patient_id"], strict=True))
    pairs = [given.get(lesion) for lesion in lesions.ids.tolist()]
    alone = pairs.count(None)
    note = f"{len(pairs) - alone:,} lesions are paired with patients by {path.name}, {alone:,} have no patient"
    return pairs, text.sha256, note


def _drawn(lesions: Cohort, patients: Cohort, by_label: bool, seed: int) -> list[str | None]:
    """A patient for every lesion, drawn once per lesion group; by label from those whose sample has the same one."""
    rng = np.random.default_rng(seed)
    first_samples = replace(patients, table=_one_each(patients))
    names, answer = first_samples.groups, first_samples.target
    pools = [np.unique(names[answer == label]) if by_label else np.unique(names) for label in (0, 1)]
    groups, first = np.unique(lesions.groups, return_index=True)
    chosen = {
        group: str(rng.choice(pools[label]))
        for group, label in zip(groups.tolist(), (lesions.target[first] > 0).astype(int), strict=True)
    }
    return [chosen[group] for group in lesions.groups.tolist()]


def _one_each(patients: Cohort) -> pl.DataFrame:
    """The first sample of every patient: its columns and its answer belong together."""
    return patients.table.unique(patients.task.group, keep="first", maintain_order=True)


def _joined(lesions: Cohort, patients: Cohort, pairs: Sequence[str | None]) -> Cohort:
    """The lesions with their patients' columns; of several samples of a patient the first."""
    one_each = _one_each(patients)
    columns = [pl.col(column.name.removeprefix(PREFIX)).alias(column.name) for column in CLINICAL]
    columns += [pl.col(name).alias(f"{PREFIX}{name}") for name in one_each.columns if name.startswith(RNA)]
    clinical = one_each.select(pl.col(patients.task.group).alias(PATIENT), *columns)
    table = lesions.table.with_columns(pl.Series(PATIENT, list(pairs), dtype=pl.String))
    table = table.join(clinical, on=PATIENT, how="left", maintain_order="left")
    return replace(lesions, table=table, forbidden=lesions.forbidden | {PATIENT})


def _of_patients(lesions: Task) -> Task:
    """The question of TCGA-SKCM, asked of lesions."""
    return replace(lesions, classes=TASK.classes, score=TASK.score, malignant=())


def _asked_of_patients(train: Cohort, patients: Cohort, folder: Path) -> Cohort:
    """The lesions that have a patient, with what is known of that patient's specimen in place of their label."""
    answers = _one_each(patients).select(
        pl.col(patients.task.group).alias(PATIENT), pl.col(patients.task.target).alias(train.task.target)
    )
    table = train.table.drop(train.task.target).join(answers, on=PATIENT, how="inner", maintain_order="left")
    if table[train.task.target].n_unique() < len(TASK.classes):
        raise DataError(
            f"{folder}: the {table.height:,} lesions with a patient lack a class ({' or '.join(TASK.classes)}); pair "
            "lesions with patients of both kinds"
        )
    return replace(train, table=table, task=_of_patients(train.task))


def _components(groups: np.ndarray[tuple[int], np.dtype[np.str_]], pairs: Sequence[str | None]) -> list[str]:
    """A name for every set of lesions that hang together by a group or by a patient."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(len(groups))
    _, group = np.unique(groups, return_inverse=True)
    # Whoever has no patient is a patient alone.
    _, patient = np.unique([p or f"\0{i}" for i, p in enumerate(pairs)], return_inverse=True)
    ends = np.concatenate([len(rows) + group, len(rows) + group.max(initial=0) + 1 + patient])
    size = int(ends.max(initial=0)) + 1
    graph = coo_array((np.ones(2 * len(rows)), (np.concatenate([rows, rows]), ends)), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    return [f"pair_{code}" for code in label[: len(rows)].tolist()]


def _bound(recipe: PairingRecipe) -> BoundReader:
    return Paired(recipe, READERS[recipe.lesions].bind(None))


READER = Reader("paired", _bound, table="pairing", told_columns=ToldColumns(tuple(f"{PREFIX}{name}" for name in TOLD)))
