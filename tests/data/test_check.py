from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data.check import CheckReport, check
from data.readers.isic2024 import read


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def look(folder: Path, **options: object) -> CheckReport:
    before = tree(folder)
    report = check(folder, read, **options)
    assert tree(folder) == before
    return report


def edit(path: Path, *changes: pl.Expr) -> None:
    pl.read_csv(path, infer_schema=False).with_columns(*changes).write_csv(path)


def test_a_sound_folder(published: Path) -> None:
    steps: list[tuple[int, int]] = []
    report = look(published, progress=lambda done, total, **_: steps.append((done, total)))
    assert report.ok
    assert report.errors == report.warnings == ()
    assert report.train is not None
    assert (report.train.rows, report.train.patients, report.train.positives) == (12, 4, 3)
    assert report.train.missing["iddx_1"] == 1.0
    assert report.test is not None
    assert (report.test.rows, report.test.positives, report.test.missing) == (3, None, {})
    assert report.train_images is not None
    assert report.train_images.found == 12
    assert report.train_images.sides_px == (40, 40, 40)
    assert steps == [(12, 12), (3, 3)]


def test_missing_shares_are_sorted(published: Path) -> None:
    some = pl.when(pl.int_range(pl.len()) < 6).then(None)
    edit(
        published / "test-metadata.csv",
        pl.when(pl.int_range(pl.len()) < 1).then(None).otherwise("age_approx").alias("age_approx"),
        some.otherwise("sex").alias("sex"),
    )
    report = look(published)
    assert report.test is not None
    assert list(report.test.missing.items()) == [("sex", 1.0), ("age_approx", pytest.approx(1 / 3))]


def test_images_missing_extra_and_damaged_are_told_apart(
    published: Path, make_jpeg: Callable[..., bytes], make_images: Callable[..., None]
) -> None:
    images = {f"ISIC_{i:07d}": make_jpeg(i, 30 + i, 20) for i in range(1, 14)}
    images["ISIC_0000005"] = images["ISIC_0000005"][:200]
    (published / "train-image.hdf5").unlink()
    make_images(published / "train-image.hdf5", images)
    strict = look(published)
    assert strict.train_images is not None
    assert strict.train_images.missing == ("ISIC_0000000",)
    assert strict.train_images.extra == ("ISIC_0000012", "ISIC_0000013")
    assert list(strict.train_images.undecodable) == ["ISIC_0000005"]
    assert strict.train_images.sides_px == (31, 36, 41)
    assert not strict.ok
    assert strict.errors[0] == "train images: 1 of 12 lesions have none (ISIC_0000000)"
    assert strict.errors[1].startswith("train images: 1 of 11 do not decode (ISIC_0000005: damaged JPEG")
    assert strict.warnings == ("train images: 2 of lesions not in the table (ISIC_0000012, ISIC_0000013)",)
    lenient = look(published, max_missing_share=0.2)
    assert lenient.ok
    assert len(lenient.warnings) == 3
    quick = look(published, decode_all=False)
    assert quick.train_images is not None
    assert quick.train_images.undecodable == {}
    assert quick.train_images.sides_px is None


def test_everything_wrong_is_found_in_one_look(published: Path) -> None:
    train = published / "train-metadata.csv"
    frame = pl.read_csv(train, infer_schema=False)
    frame.drop("sex").with_columns(pl.lit("x").alias("age_approx")).write_csv(train)
    (published / "test-metadata.csv").write_text("")
    hdf5 = published / "train-image.hdf5"
    hdf5.write_bytes(hdf5.read_bytes()[: hdf5.stat().st_size // 2])
    report = look(published)
    assert not report.ok
    text = "\n".join(report.errors)
    for part in ("column sex is missing", "12 values are not numbers", "is empty", "ends too early"):
        assert part in text
    assert report.train is not None
    assert report.train.rows == 12
    assert report.test is None
    assert report.test_images is not None
    assert report.test_images.found == 3


def test_duplicated_ids_and_missing_patients_do_not_stop_the_look(published: Path) -> None:
    edit(published / "train-metadata.csv", pl.lit("ISIC_0000001").alias("isic_id"), pl.lit(None).alias("patient_id"))
    report = look(published)
    assert len(report.errors) == 2
    assert report.train_images is not None
    assert len(report.train_images.extra) == 11


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    report = check(tmp_path / "nowhere", read)
    assert not report.ok
    assert "not a folder" in report.errors[0]
    assert list(tmp_path.iterdir()) == []
