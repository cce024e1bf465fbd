"""The data folder for machines: its files with checksums, and the columns of its tables, as Croissant 1.0."""

from pathlib import Path
from typing import Any

import polars as pl

from data.files import sha256_of
from data.progress import Progress
from data.spelled import spelled

KINDS = {".csv": "text/csv", ".parquet": "application/x-parquet", ".hdf5": "application/x-hdf5",
         ".zip": "application/zip", ".json": "application/json", ".md": "text/markdown",
         ".jpg": "image/jpeg", ".png": "image/png"}  # fmt: skip
MOST_FILES = 1_000
"""Described one by one; a folder of more images is described as one set."""
VOCABULARY = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty", "samplingRate": "cr:samplingRate",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet",
    "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip
"""The context that Croissant 1.0 prescribes."""


def described(folder: Path, name: str, invented: bool, progress: Progress) -> dict[str, Any]:
    """The description of a folder; nothing in it is changed."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    images = [path for path in paths if KINDS.get(path.suffix.lower(), "").startswith("image/")]
    single = [path for path in paths if len(paths) <= MOST_FILES or path not in set(images)]
    files = []
    for done, path in enumerate(single, 1):
        files.append(file_object(folder, path))
        progress(done, len(single))
    if len(single) < len(paths):
        suffixes = sorted({path.suffix for path in images})
        files += [{"@type": "cr:FileSet", "@id": f"images{suffix}", "name": f"images{suffix}",
                   "encodingFormat": KINDS[suffix.lower()], "includes": f"**/*{suffix}"}
                  for suffix in suffixes]  # fmt: skip
    kind = "invented lesions" if invented else "skin lesions"
    return {
        "@context": VOCABULARY,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": f"{kind.capitalize()}: {len(paths):,} files that a FusionNetX run was trained and tested on.",
        "distribution": files,
        "recordSet": [found for path in single if (found := record_set(folder, path)) is not None],
    }


def file_object(folder: Path, path: Path) -> dict[str, Any]:
    """One file, by its place in the folder."""
    place = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject", "@id": id_of(place), "name": id_of(place), "contentUrl": place,
        "contentSize": f"{path.stat().st_size} B", "sha256": sha256_of(path),
        "encodingFormat": KINDS.get(path.suffix.lower(), "application/octet-stream"),
    }  # fmt: skip


def record_set(folder: Path, path: Path) -> dict[str, Any] | None:
    """The columns of a table; None for any other file."""
    if path.suffix.lower() == ".csv":
        with spelled(path) as name:
            schema = dict(pl.read_csv(name, infer_schema_length=None, n_rows=10_000).schema)
    elif path.suffix.lower() == ".parquet":
        with spelled(path) as name:
            schema = dict(pl.read_parquet_schema(name))
    else:
        return None
    place = id_of(path.relative_to(folder).as_posix())
    fields = [
        {"@type": "cr:Field", "@id": f"tables/{place}/{id_of(column)}", "name": f"tables/{place}/{id_of(column)}",
         "dataType": kind_of(kind), "source": {"fileObject": {"@id": place}, "extract": {"column": column}}}
        for column, kind in schema.items()
    ]  # fmt: skip
    return {"@type": "cr:RecordSet", "@id": f"tables/{place}", "name": f"tables/{place}", "field": fields}


def id_of(name: str) -> str:
    """A name that can be an id: without blanks."""
    return "_".join(name.split())


def kind_of(kind: pl.DataType) -> str:
    """A column's type as Croissant calls it."""
    if kind == pl.Boolean:
        return "sc:Boolean"
    if kind.is_integer():
        return "sc:Integer"
    return "sc:Float" if kind.is_float() else "sc:Text"
