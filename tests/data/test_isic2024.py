import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from data.files import sha256_of
from data.images.decode import decode
from data.images.pack_build import build_pack
from data.images.sources import FolderImages, Hdf5Images
from data.readers import isic2024
from data.readers.reading import FolderError

# The header line of the competition's file.
TRAIN_HEADER = [
    "isic_id",
    "target",
    "patient_id",
    "age_approx",
    "sex",
    "anatom_site_general",
    "clin_size_long_diam_mm",
    "image_type",
    "tbp_tile_type",
    "tbp_lv_A",
    "tbp_lv_Aext",
    "tbp_lv_B",
    "tbp_lv_Bext",
    "tbp_lv_C",
    "tbp_lv_Cext",
    "tbp_lv_H",
    "tbp_lv_Hext",
    "tbp_lv_L",
    "tbp_lv_Lext",
    "tbp_lv_areaMM2",
    "tbp_lv_area_perim_ratio",
    "tbp_lv_color_std_mean",
    "tbp_lv_deltaA",
    "tbp_lv_deltaB",
    "tbp_lv_deltaL",
    "tbp_lv_deltaLB",
    "tbp_lv_deltaLBnorm",
    "tbp_lv_eccentricity",
    "tbp_lv_location",
    "tbp_lv_location_simple",
    "tbp_lv_minorAxisMM",
    "tbp_lv_nevi_confidence",
    "tbp_lv_norm_border",
    "tbp_lv_norm_color",
    "tbp_lv_perimeterMM",
    "tbp_lv_radial_color_std_max",
    "tbp_lv_stdL",
    "tbp_lv_stdLExt",
    "tbp_lv_symm_2axis",
    "tbp_lv_symm_2axis_angle",
    "tbp_lv_x",
    "tbp_lv_y",
    "tbp_lv_z",
    "attribution",
    "copyright_license",
    "lesion_id",
    "iddx_full",
    "iddx_1",
    "iddx_2",
    "iddx_3",
    "iddx_4",
    "iddx_5",
    "mel_mitotic_index",
    "mel_thick_mm",
    "tbp_lv_dnn_lesion_confidence",
]
LEAKS = TRAIN_HEADER[45:]


def problems(folder: Path) -> list[str]:
    with pytest.raises(FolderError) as caught:
        isic2024.read(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder}: {len(caught.value.readout.errors)} problem")
    assert all(error in message for error in caught.value.readout.errors)
    return caught.value.readout.errors


def edit(path: Path, *changes: pl.Expr) -> None:
    pl.read_csv(path, infer_schema=False).with_columns(*changes).write_csv(path)


def at(row: int, column: str, value: str | None) -> pl.Expr:
    """Put a value into one cell."""
    return pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)


def test_schema_is_the_published_header() -> None:
    assert [column.name for column in isic2024.SCHEMA] == TRAIN_HEADER
    assert len(TRAIN_HEADER) == 55
    assert len(isic2024.TEST_SCHEMA) == 44
    assert frozenset({"target", *LEAKS}) == isic2024.FORBIDDEN
    assert len(LEAKS) == 10
    numeric = [column for column in isic2024.SCHEMA if column.numeric]
    assert len(numeric) == 37
    assert [column.name for column in numeric if column.kind == "integer"] == ["target", "tbp_lv_symm_2axis_angle"]


def test_the_folder_as_published_is_read(published: Path) -> None:
    folder = isic2024.read(published)
    assert folder.train.table.columns == TRAIN_HEADER
    assert folder.test is not None
    assert folder.test.table.columns == [name for name in TRAIN_HEADER if name not in isic2024.FORBIDDEN]
    assert folder.train.labelled
    assert not folder.test.labelled
    assert folder.train.target.tolist() == [1, 0, 0, 0] * 3
    assert folder.train.fingerprint == sha256_of(published / "train-metadata.csv")
    assert folder.train.forbidden == isic2024.FORBIDDEN
    assert folder.submission_ids is not None
    assert folder.submission_ids.tolist() == folder.test.ids.tolist()
    assert folder.notes == ()
    assert isinstance(folder.train_images, Hdf5Images)
    assert folder.train_images.ids.tolist() == folder.train.ids.tolist()


def test_images_in_a_folder_are_read_too(published: Path) -> None:
    (published / "train-image.hdf5").unlink()
    (published / "train-image" / "image").mkdir(parents=True)
    (published / "train-image" / "image" / "ISIC_0000001.jpg").touch()
    images = isic2024.read(published).train_images
    assert isinstance(images, FolderImages)
    assert images.ids.tolist() == ["ISIC_0000001"]


def test_a_folder_without_test_files_is_enough_to_train(published: Path) -> None:
    for name in ("test-metadata.csv", "test-image.hdf5"):
        (published / name).unlink()
    folder = isic2024.read(published)
    assert folder.test is None
    assert folder.test_images is None
    assert folder.notes == ("sample_submission.csv is not used: there is no usable test-metadata.csv",)


def test_tables_alone_are_read_and_the_absent_images_noted(published: Path) -> None:
    for name in ("train-image.hdf5", "test-image.hdf5"):
        (published / name).unlink()
    folder = isic2024.read(published)
    assert folder.train_images is None
    assert folder.test_images is None
    assert "train-image.hdf5 is missing, and so is the folder train-image/image" in folder.notes


def test_images_of_one_part_alone_are_a_mistake(published: Path) -> None:
    (published / "test-image.hdf5").unlink()
    assert problems(published) == ["test-image.hdf5 is missing, and so is the folder test-image/image"]


def test_absent_files_are_named(published: Path, tmp_path: Path) -> None:
    for name in ("train-metadata.csv", "train-image.hdf5", "test-image.hdf5"):
        (published / name).unlink()
    assert problems(published) == [
        "train-metadata.csv is missing",
        "train-image.hdf5 is missing, and so is the folder train-image/image",
        "test-image.hdf5 is missing, and so is the folder test-image/image",
    ]
    with pytest.raises(DataError, match="not a folder"):
        isic2024.read(tmp_path / "nowhere")


def test_problems_of_all_files_come_in_one_message(published: Path) -> None:
    edit(
        published / "train-metadata.csv",
        at(1, "age_approx", "forty"),
        at(2, "patient_id", None),
        at(4, "isic_id", "ISIC_0000003"),
        at(5, "clin_size_long_diam_mm", "-2.5"),
    )
    test = pl.read_csv(published / "test-metadata.csv", infer_schema=False)
    test.drop("tbp_lv_A").write_csv(published / "test-metadata.csv")
    (published / "sample_submission.csv").write_bytes(b"")
    assert problems(published) == [
        "train-metadata.csv: column isic_id: 2 values are not unique (line 5: 'ISIC_0000003', line 6: 'ISIC_0000003')",
        "train-metadata.csv: column patient_id: 1 value is missing, which this column must not be (line 4: empty)",
        "train-metadata.csv: column age_approx: 1 value is not a number (line 3: 'forty')",
        "train-metadata.csv: column clin_size_long_diam_mm: 1 value is below 0 mm (line 7: '-2.5')",
        "test-metadata.csv: column tbp_lv_A is missing",
        f"{published / 'sample_submission.csv'} is empty. Copy or unpack it again.",
    ]


def test_one_class_only(published: Path) -> None:
    edit(published / "train-metadata.csv", pl.lit("0").alias("target"))
    assert problems(published) == ["train-metadata.csv: column target: every row is 0; both classes are needed"]
    edit(published / "train-metadata.csv", pl.lit("1").alias("target"))
    assert problems(published) == ["train-metadata.csv: column target: every row is 1; both classes are needed"]


def test_submission_must_name_the_test_lesions(published: Path) -> None:
    (published / "sample_submission.csv").write_text("isic_id,target\nISIC_0000101,0.3\nISIC_0000100,0.3\nX,0\n")
    assert problems(published) == [
        "sample_submission.csv: ids without a row in test-metadata.csv: 1 (X)",
        "sample_submission.csv: test lesions without a row: 1 (ISIC_0000102)",
    ]


def test_a_lesion_in_both_parts_is_an_error_and_a_patient_is_noted(published: Path) -> None:
    edit(published / "test-metadata.csv", at(0, "isic_id", "ISIC_0000002"), at(1, "patient_id", "IP_0000002"))
    (published / "sample_submission.csv").unlink()
    assert problems(published) == ["lesions in both train-metadata.csv and test-metadata.csv: 1 (ISIC_0000002)"]
    edit(published / "test-metadata.csv", at(0, "isic_id", "ISIC_0000100"))
    assert isic2024.read(published).notes == ("test-metadata.csv: 1 of 3 patients are in the training table too",)


def test_unknown_categories_are_noted_and_go_through(published: Path) -> None:
    edit(published / "test-metadata.csv", at(0, "attribution", "Elsewhere"), at(1, "sex", "Male"))
    folder = isic2024.read(published)
    assert folder.notes == (
        "test-metadata.csv: column sex: 1 row holds a value not among the published values: 'Male' (1)",
        "test-metadata.csv: column sex: 1 row holds a value that the training table does not have: 'Male' (1)",
        "test-metadata.csv: column attribution: 1 row holds a value that the training table does not have: "
        "'Elsewhere' (1)",
    )
    assert folder.test is not None
    assert folder.test.table["attribution"][0] == "Elsewhere"


def test_leaky_columns_never_reach_a_test_table(published: Path) -> None:
    edit(published / "test-metadata.csv", *(pl.lit("1").alias(name) for name in isic2024.FORBIDDEN))
    folder = isic2024.read(published)
    assert folder.test is not None
    assert not isic2024.FORBIDDEN & set(folder.test.table.columns)
    assert "columns that are not used" in folder.notes[0]


@pytest.mark.parametrize("form", ["BOM", "CRLF", "reordered", "spelled missing", "integers as floats"])
def test_harmless_forms_give_the_same_table(published: Path, form: str) -> None:
    path = published / "train-metadata.csv"
    expected = isic2024.read(published).train.table
    raw = path.read_bytes()
    if form == "BOM":
        path.write_bytes(b"\xef\xbb\xbf" + raw)
    elif form == "CRLF":
        path.write_bytes(raw.replace(b"\n", b"\r\n"))
    elif form == "reordered":
        frame = pl.read_csv(path, infer_schema=False)
        frame.select(reversed(frame.columns)).write_csv(path)
    elif form == "spelled missing":
        pl.read_csv(path, infer_schema=False).with_columns(pl.all().fill_null("NA")).write_csv(path)
    else:
        edit(path, pl.col("tbp_lv_symm_2axis_angle") + ".0", pl.col("target") + ".0")
    assert isic2024.read(published).train.table.equals(expected)


def test_new_patients_are_read_without_training_data(published: Path) -> None:
    cohort, images, _ = isic2024.read_test(published / "test-metadata.csv", published / "test-image.hdf5")
    assert not cohort.labelled
    assert cohort.ids.tolist() == images.ids.tolist()
    with pytest.raises(FolderError, match=r"other\.hdf5 does not exist"):
        isic2024.read_test(published / "test-metadata.csv", published / "other.hdf5")
    # A table with labels is fine too: what is not asked for is left out.
    cohort, _, _ = isic2024.read_test(published / "train-metadata.csv", published / "train-image.hdf5")
    assert not isic2024.FORBIDDEN & set(cohort.table.columns)


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """The real files under the names that Kaggle gives them."""
    given = os.environ.get("FUSIONNETX_REAL")
    if not given:
        pytest.skip("set FUSIONNETX_REAL to a folder of real data")
    source = Path(given) / "isic2024"
    shutil.copy(source / "train-metadata-part.csv", tmp_path / "train-metadata.csv")
    for name in ("test-metadata.csv", "test-image.hdf5", "sample_submission.csv"):
        shutil.copy(source / name, tmp_path)
    with zipfile.ZipFile(source / "images_train_part.zip") as archive:
        archive.extractall(tmp_path / "train-image" / "image")
    return tmp_path


@pytest.mark.real
def test_real_files_load_and_pack(real: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = isic2024.read(real)
    assert folder.train.table.shape == (661, 55)
    assert int(folder.train.target.sum()) == 179
    assert folder.test is not None
    assert folder.test_images is not None
    assert folder.test.table.shape == (3, 44)
    assert folder.test.table["sex"].to_list() == ["male", "female", "male"]
    assert "FNQH Cairns" in " ".join(folder.notes)
    cache = tmp_path_factory.mktemp("cache")
    pack = build_pack(folder.test_images, folder.test.ids, cache / "test", size=224, max_missing_share=0)
    np.testing.assert_array_equal(pack.images[1], decode(folder.test_images.read(str(pack.ids[1])), 224))
    images = folder.train_images
    whole = build_pack(images, images.ids, cache / "train", size=64, max_missing_share=0)
    assert whole.present.all()
    assert len(whole.ids) == 7261
