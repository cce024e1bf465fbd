"""Any folder with a table and images, read by what the recipe says of its columns (PAD-UFES-20, for one).

The table is a CSV file of any form, a workbook or parquet. A column holds numbers when every cell of the training table
is one, else categories. Images are found by name at any depth, in any of the formats, in a zip archive or an HDF5 file;
without `images` the table stands alone.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

import polars as pl
from pydantic import Field, model_validator

from data.cohort import Cohort, DataFolder, Task
from data.errors import DataError, examples
from data.images.joined import NamedImages, stem_of
from data.images.sources import ImageSource
from data.own.roles import group_noun
from data.progress import Progress
from data.readers.reading import InParts, Reader, Readout, Unlabelled, given_images
from data.strict import Strict
from data.synthetic.recipe import TwinRecipe
from data.tables.any_table import any_parts, read_any
from data.tables.csv import TextTable
from data.tables.form import Decimal, Encoding, Separator, TableForm
from data.tables.near import did_you_mean
from data.tables.schema import Column, validate


class FolderRecipe(Strict):
    """What the columns of a folder's table mean."""

    metadata: str = "metadata.csv"
    """The table, below the data folder."""
    test_metadata: str = ""
    """A table of lesions to predict, if there is one."""
    lesion: str
    """Column that names a row: one lesion, or one of several images of it."""
    group: str = ""
    """Column whose values stay in one fold (the patient); left out, every row is a group of its own."""
    target: str
    """Column with the answer."""
    classes: tuple[str, ...] = ()
    """Every value of the target, in order of the class index; the second of two is the positive one."""
    positive: tuple[str, ...] = ()
    """Values of the target that are positive, all others being negative, in place of `classes`."""
    images: str = "."
    """Folder, zip archive or HDF5 file of the images, below the data folder; "" for a table alone."""
    image: str = ""
    """Name of a row's image from its columns, such as "{img_id}" or "{patient}_{side}"; left out: the lesion's."""
    forbidden: tuple[str, ...] = ()
    """Columns known only where the answer is known: never a feature."""
    categories: tuple[str, ...] = ()
    """Columns of codes that are no quantities although they look like numbers."""
    numbers: tuple[str, ...] = ()
    """Columns that hold numbers, also where a table to predict has none in them; others are found out."""
    ignored: tuple[str, ...] = ()
    """Columns that are not read at all (dates, remarks): a table to predict need not have them."""
    missing: tuple[str, ...] = ()
    """Spellings of a missing value beside the usual ones (empty, NA, N/A, null, none, nan)."""
    separator: Separator = ""
    """What parts the cells of a text table; found out when left out, like the next three."""
    decimal: Decimal = ""
    """The decimal mark, "." or ","."""
    encoding: Encoding = ""
    sheet: str = ""
    """Sheet of a workbook; the first when left out."""
    score: str = Field(default="auc", pattern="^(pauc|auc|average_precision)$")

    @model_validator(mode="after")
    def _answers(self) -> Self:
        if bool(self.classes) == bool(self.positive):
            raise ValueError("give either classes (every value of the target) or positive (the positive ones)")
        if len(self.classes) == 1 or len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: at least two different values of the target are needed")
        if self.score == "pauc" and len(self.classes) > 2:
            raise ValueError("score = 'pauc' is for two classes; use 'auc'")
        both = sorted(set(self.numbers) & {*self.categories, self.lesion, self.group, self.target})
        if both:
            raise ValueError(f"numbers: {both[0]!r} is named as something else, too")
        unread = sorted(set(self.ignored) & set(self.named))
        if unread:
            raise ValueError(f"ignored: {unread[0]!r} is named as something that is read, too")
        return self

    @property
    def task(self) -> Task:
        """The task that the columns pose; the target column will hold class indices."""
        classes = self.classes or ("negative", "positive")
        noun = group_noun(self.group)
        return Task(self.lesion, self.group or self.lesion, self.target, classes, self.score, "row", noun)

    @property
    def image_columns(self) -> tuple[str, ...]:
        """Columns that the image's name is made of."""
        return tuple(re.findall(r"\{([^{}]*)\}", self.image))

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns whose cells name something: never numbers, never missing."""
        return tuple(dict.fromkeys((self.task.lesion, self.task.group, *self.image_columns, self.target)))

    @property
    def named(self) -> tuple[str, ...]:
        """Columns that the recipe names, which must be there."""
        return tuple(dict.fromkeys((*self.keys, *self.categories, *self.numbers, *self.forbidden)))

    @property
    def form(self) -> TableForm:
        """What there is to know of the table's form."""
        return TableForm(
            self.separator,
            self.decimal,
            self.encoding,
            self.sheet,
            self.missing,
            self.numbers,
            (*self.keys, *self.categories, *self.forbidden, *self.ignored),
        )


@dataclass(frozen=True)
class Folder:
    """Reads a folder described by a recipe."""

    recipe: FolderRecipe

    def read(self, folder: Path, /) -> DataFolder:
        """Read and validate the folder; `FolderError` lists every problem."""
        found, recipe = Readout(), self.recipe
        found.train = self._cohort(folder / recipe.metadata, True, found, None)
        source = given_images(folder / recipe.images, found) if recipe.images else None
        found.train_images = self._named(source, found.train)
        if recipe.test_metadata and found.train is not None:
            found.test = self._cohort(folder / recipe.test_metadata, False, found, found.train)
            found.test_images = self._named(source, found.test)
            _refuse_shared(found)
        return found.folder(folder)

    def read_test(self, metadata_path: Path, images_path: Path | None, /) -> Unlabelled:
        """Read lesions to predict: a table with the columns of the training table but those of the answer."""
        found = Readout()
        found.test = self._cohort(metadata_path, False, found, None)
        found.test_images = self._named(given_images(images_path, found), found.test)
        return found.unlabelled(metadata_path.parent)

    def in_parts(self, path: Path, /) -> InParts:
        """How a table larger than memory is read; `ReadWholeError` for a workbook, and where something is wrong."""
        found = any_parts(path, self.recipe.form)
        columns = self._schema(found.columns, found.numbers, False, None)
        return InParts(lambda: map(self._without_ignored, found.texts()), columns, self._test_cohort, self._named)

    def write_twin(self, folder: Path, recipe: TwinRecipe, progress: Progress, /) -> None:
        """Write a twin of PAD-UFES-20, whatever the recipe says of the columns."""
        from data.synthetic.pad_ufes import write

        write(folder, recipe, progress)

    def _cohort(self, path: Path, labelled: bool, found: Readout, like: Cohort | None) -> Cohort | None:
        """One table as a cohort, typed `like` another one if given; None when unusable, the reasons in `found`."""
        recipe = self.recipe
        try:
            table_file = read_any(path, recipe.form)
        except DataError as error:
            found.errors.append(str(error))
            return None
        text = self._without_ignored(table_file.text)
        found.understood.append(f"{path.name}: read as {table_file.understood}")
        free = [name for name in text.columns if name not in recipe.named]
        checked = validate(text, self._schema(text.columns, table_file.numbers, labelled, like), likely=free)
        errors = list(checked.errors)
        table = checked.table
        if labelled and not errors:
            errors += self._wrong_answers(table[recipe.target])
            table = table.with_columns(self._class_index())
        found.record(path.name, errors, checked.notes)
        if errors:
            return None
        return replace(self._test_cohort(table, text.sha256), labelled=labelled)

    def _without_ignored(self, text: TextTable) -> TextTable:
        # By name and not by pattern: a column may be called "^a$".
        ignored = self.recipe.ignored
        return replace(text, frame=text.frame[[name for name in text.frame.columns if name not in ignored]])

    def _test_cohort(self, table: pl.DataFrame, checksum: str) -> Cohort:
        """Typed columns of lesions to predict as a cohort."""
        forbidden = frozenset({self.recipe.target, *self.recipe.forbidden})
        return Cohort(table, self.recipe.task, False, forbidden, checksum)

    def _wrong_answers(self, answers: pl.Series) -> list[str]:
        """Values of the target that the recipe does not know, and those it knows that are not there."""
        recipe = self.recipe
        named, there = (*recipe.classes, *recipe.positive), answers.unique().sort().to_list()
        strange = [value for value in there if value not in recipe.classes] if recipe.classes else []
        absent = [name for name in named if name not in there]
        errors = []
        if strange:
            errors.append(f"column {recipe.target}: {', '.join(strange[:5])}: not named in data.folder.classes")
        if absent:
            free = [value for value in there if value not in named]
            guess = did_you_mean(absent[0], free)
            errors.append(
                f"column {recipe.target}: no row is {', '.join(absent)}, which the recipe names{guess}; "
                f"the rows hold {examples(there, 8)}"
            )
        return errors

    def _schema(
        self, names: Sequence[str], numbers: Collection[str], labelled: bool, like: Cohort | None
    ) -> list[Column]:
        """The columns the recipe names, which must be there, and all others by what they hold."""
        recipe, task = self.recipe, self.recipe.task
        answers, keys = {recipe.target, *recipe.forbidden}, recipe.keys
        columns = []
        others = names if like is None else like.table.columns
        for name in dict.fromkeys((*recipe.named, *(name for name in others if name not in recipe.ignored))):
            if name in answers and not labelled:
                continue
            key = name in keys
            if key or name in recipe.categories:
                number = False
            elif like is not None and name in like.table.columns:
                number = like.table.schema[name].is_numeric()
            else:
                number = name in numbers or name in recipe.numbers
            kind: Literal["number", "text", "category"] = "number" if number else "text" if key else "category"
            columns.append(Column(name, kind, nullable=not key, unique=name == task.lesion, train_only=name in answers))
        return columns

    def _class_index(self) -> pl.Expr:
        column = pl.col(self.recipe.target)
        if self.recipe.classes:
            codes = {name: code for code, name in enumerate(self.recipe.classes)}
            return column.replace_strict(codes, default=None, return_dtype=pl.Int64)
        return column.is_in(self.recipe.positive).cast(pl.Int64)

    def _named(self, source: ImageSource | None, cohort: Cohort | None) -> ImageSource | None:
        """The images that the table names."""
        if source is None or cohort is None:
            return None
        pattern = self.recipe.image or f"{{{self.recipe.lesion}}}"
        keys = cohort.table.select(list(dict.fromkeys((self.recipe.lesion, *self.recipe.image_columns))))
        stems = [stem_of(_filled(pattern, row)) for row in keys.iter_rows(named=True)]
        names = zip(keys[self.recipe.lesion].cast(pl.String), _as_spelled(source, stems), strict=True)
        return NamedImages(source, dict(names))


def _filled(pattern: str, row: Mapping[str, object]) -> str:
    return re.sub(r"\{([^{}]*)\}", lambda match: str(row[match[1]]), pattern)


def _as_spelled(source: ImageSource, stems: Sequence[str]) -> list[str]:
    """Names as the source has them: a letter with an accent is one character here and two there, and looks the same."""
    if all(stem.isascii() for stem in stems):
        return list(stems)
    known = {unicodedata.normalize("NFC", name): name for name in source.ids.tolist()}
    return [known.get(unicodedata.normalize("NFC", stem), stem) for stem in stems]


def _refuse_shared(found: Readout) -> None:
    """A lesion in both tables is an error."""
    if found.train is not None and found.test is not None:
        shared = sorted(set(found.train.ids.tolist()) & set(found.test.ids.tolist()))
        if shared:
            found.errors.append(f"{len(shared):,} lesions are in both tables ({', '.join(shared[:3])})")


READER = Reader("folder", bind=Folder, table="folder")
