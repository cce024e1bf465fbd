"""The recipe of a table of one's own as a commented file, for a person to read and change."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from data.own.proposal import Proposal
from image_models.recipe import ImageModelRecipe
from pipeline.recipe import toml_value

COMMENTS = {
    "metadata": "the table, below the data folder",
    "separator": "what parts its cells",
    "decimal": "the decimal mark",
    "encoding": "",
    "sheet": "of the workbook",
    "missing": "spellings of a missing value beside the usual ones",
    "lesion": "names a row",
    "group": "the patient, or what else rows share: all rows of one stay in one fold",
    "target": "the answer",
    "positive": "these answers are the positive ones, all others negative",
    "classes": "every answer, in the order of the class index",
    "images": "a folder (any depth), a zip archive or an HDF5 file",
    "image": "the name of a row's image, from its columns",
    "forbidden": "known only with the diagnosis: never a feature",
    "numbers": "columns that hold numbers",
    "categories": "columns of words and codes",
    "ignored": "columns that are not read: a table to predict need not have them",
}
WIDTH = 110
DEFAULT_MISSING = 0.01
"""Of `max_missing_images`."""


@dataclass(frozen=True)
class Pictures:
    """Where the images are, and what sees them."""

    images: str
    """As the recipe names them."""
    missing: float
    """Share of the rows without an image."""
    model: ImageModelRecipe
    why: str
    """Why it is this model."""


def draft(proposal: Proposal, metadata: str, pictures: Pictures | None) -> str:
    """The text of the recipe; without pictures that of a table alone."""
    return "\n".join(
        [
            *heading(proposal),
            *data_part(proposal, metadata, pictures),
            *folds_part(proposal),
            *(model_part(pictures) if pictures else ()),
            *features_part(proposal, pictures is not None),
            *members_part(proposal, pictures is not None),
            "",
        ]
    )


def heading(proposal: Proposal) -> Iterable[str]:
    """What the recipe is for."""
    what = "with images" if proposal.image.value else "a table alone"
    yield f"description = {toml_value(f'{proposal.said.target} of {proposal.rows:,} rows, {what}')}"
    yield "seed = 42"


def data_part(proposal: Proposal, metadata: str, pictures: Pictures | None) -> Iterable[str]:
    """The tables [data] and [data.folder]."""
    yield from ("", "[data]", 'reader = "folder"')
    if pictures:
        yield from assigned("image_size", pictures.model.image_size, "pixels to which each image is brought, once")
        if pictures.missing > DEFAULT_MISSING:
            share = round(min(pictures.missing + 0.005, 1.0), 3)
            yield from assigned("max_missing_images", share, "rows without an image, as a share")
    yield from ("", f"# Read as {proposal.table.understood}.", "[data.folder]")
    for key, value in proposal.folder_table(metadata, pictures.images if pictures else "").items():
        if value or key in ("group", "images"):
            yield from assigned(key, value, COMMENTS[key])
            yield from explained(key, value, proposal)
    yield from assigned("score", "auc", 'or "pauc" (above 80 % sensitivity), "average_precision"')
    yield '# test_metadata = "new.csv"   # rows for `fusionnetx submission` to predict, if there are some'


def explained(key: str, value: Any, proposal: Proposal) -> Iterable[str]:
    """Further lines of comment."""
    if key == "group" and not proposal.group.value:
        yield "# Empty: every row counts as another person. If two may be of one, name the patient's column."
    if key in ("positive", "classes"):
        yield f"# {'; '.join(f'{value} {count:,}' for value, count in list(proposal.counts.items())[:12])}"
    if key == "ignored":
        yield from wrapped("", [f"{name}: {proposal.left_out[name]}" for name in value])
    if key == "forbidden":
        for one in proposal.suspects:
            yield f"# {one}. Take it out of the list only if it is known before the diagnosis."


def folds_part(proposal: Proposal) -> Iterable[str]:
    """The table [folds]."""
    noun = proposal.group_noun
    yield from ("", f"# {proposal.groups:,} {noun}s are divided; every class is in each fold.", "[folds]")
    yield f"count = {proposal.folds}"
    yield "seed = 42"


def model_part(pictures: Pictures) -> Iterable[str]:
    """The image model: what differs from the defaults."""
    why = pictures.why
    yield from ("", f"# {why[:1].upper()}{why[1:]}.", "[[image_models]]")
    for key, value in model_table(pictures.model).items():
        yield f"{key} = {toml_value(value)}"


def model_table(model: ImageModelRecipe) -> dict[str, Any]:
    """An image model as a recipe's table: what differs from the defaults, and what a person looks for first."""
    kept = ("name", "backbone", "image_size", "epochs", "batch_size")
    known = {field: getattr(model, field.name) for field in fields(model) if field.name not in ("augment", "metadata")}
    return {field.name: value for field, value in known.items() if field.name in kept or value != field.default}


def features_part(proposal: Proposal, with_images: bool) -> Iterable[str]:
    """The table [features]."""
    yield from ("", "[features]")
    yield f"families = {toml_value(['published', 'image_logit'] if with_images else ['published'])}"
    yield from assigned("extra_columns", [column.name for column in proposal.features], "columns that are features")


def members_part(proposal: Proposal, with_images: bool) -> Iterable[str]:
    """The boosters."""
    leaf = min(max(proposal.rows // 50, 2), 20)
    names = ["lightgbm", "catboost"]
    if with_images and proposal.features:
        names = ["lightgbm_metadata", *names]
    for name in names:
        booster = name.removesuffix("_metadata")
        yield from ("", "[[tabular.members]]", f"name = {toml_value(name)}", f"booster = {toml_value(booster)}")
        if name != booster:
            yield "image_columns = false   # what the table says without the images"
        if booster == "lightgbm":
            yield f"parameters = {{ min_data_in_leaf = {leaf} }}"
    yield from ("", "[tabular.resample]", 'method = "none"')


def assigned(key: str, value: Any, comment: str) -> Iterable[str]:
    """`key = value   # comment`; a long list gets lines of its own."""
    said = f"   # {comment}" if comment else ""
    line = f"{key} = {toml_value(value)}{said}"
    if len(line) <= WIDTH or not isinstance(value, list):
        yield line
        return
    yield f"{key} = [{said}"
    row = " "
    for item in value:
        if len(row) + len(toml_value(item)) > WIDTH:
            yield row
            row = " "
        row += f" {toml_value(item)},"
    yield from (row, "]")


def wrapped(head: str, items: list[str]) -> Iterable[str]:
    """A comment over as many lines as it takes; none without items."""
    row = f"# {head}"
    for i, item in enumerate(items):
        item = item.replace("\n", " ") + ("," if i + 1 < len(items) else ".")
        if len(row) + len(item) > WIDTH and not row.endswith(head):
            yield row.rstrip()
            row = "#   "
        row += f"{item} "
    if items:
        yield row.rstrip()
