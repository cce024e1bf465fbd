"""HAM10000 through the archive's interface: from pages of records to a folder that the reader reads."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.download.archive import Collection, CollectionFetching
from data.download.ham10000 import HAM10000, row_of
from data.download.http import Patience
from data.errors import DataError, Interrupted
from data.readers.ham10000 import Ham10000
from data.schemas.ham10000 import DIAGNOSES, SEVEN_CLASSES

STATED = {
    "nv": {"diagnosis_1": "Benign", "diagnosis_3": "Nevus"},
    "mel": {"diagnosis_1": "Malignant", "diagnosis_2": "Melanocytic proliferations", "diagnosis_3": "Melanoma, NOS"},
    "bkl": {"diagnosis": "pigmented benign keratosis"},
    "bcc": {"diagnosis_3": "Basal cell carcinoma"},
    "akiec": {"diagnosis_3": "Solar or actinic keratosis"},
    "vasc": {"diagnosis_2": "Benign soft tissue proliferations - Vascular"},
    "df": {"diagnosis_3": "Dermatofibroma"},
}


def jpeg(shade: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), shade, np.uint8)).save(data, "JPEG")
    return data.getvalue()


@pytest.fixture
def collection(server: Any) -> Collection:
    """Nine images of eight lesions on two pages, and one of a diagnosis that HAM10000 does not have."""
    records = []
    for number, known in enumerate([*STATED.values(), STATED["nv"], {"diagnosis_3": "Scar"}, STATED["mel"]]):
        name = f"ISIC_{number:07d}"
        server.does.files[f"{name}.jpg"] = jpeg(20 * number)
        clinical = {**known, "lesion_id": f"IL_{min(number, 8)}", "age_approx": 5 * number, "sex": "male",
                    "anatom_site_general": "head/neck", "diagnosis_confirm_type": "histopathology"}  # fmt: skip
        full = {"url": f"{server.address}/{name}.jpg", "size": len(server.does.files[f"{name}.jpg"])}
        records.append(
            {"isic_id": name, "files": {"full": full}, "metadata": {"acquisition": {}, "clinical": clinical}}
        )
    for page, (part, following) in enumerate([(records[:6], f"{server.address}/page1"), (records[6:], None)]):
        answer = {"count": len(records), "next": following, "results": part}
        server.does.files[f"page{page}"] = json.dumps(answer).encode()
    server.does.files[HAM10000.first_page.removeprefix(f"{HAM10000.address}/")] = server.does.files["page0"]
    return replace(HAM10000, address=server.address)


def test_what_is_fetched_is_read_by_the_reader(
    collection: Collection, server: Any, hasty: Patience, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    fetching = CollectionFetching(collection, tmp_path / "ham", hasty)
    said = fetching.run(lambda done, total, **_: seen.append((done, total)))
    assert said == ["9 images", "HAM10000_metadata.csv", "left out 1 images (Scar 1)"]
    assert seen[-1] == (10, 10)
    data = Ham10000(SEVEN_CLASSES).read(tmp_path / "ham")
    assert [DIAGNOSES[code] for code in data.train.target] == [*STATED, "nv", "mel"]
    assert data.train.groups.tolist()[-1] == "IL_8"
    assert data.train.table["dx_type"].unique().to_list() == ["histo"]
    assert data.train_images is not None
    assert data.train_images.ids.tolist() == data.train.ids.tolist()
    asked = len(server.does.asked)
    assert fetching.run() == []
    assert len(server.does.asked) == asked
    assert json.loads((tmp_path / "ham" / "download.json").read_text())["left_out"] == {"Scar": 1}


def test_a_connection_that_breaks_goes_on_and_what_is_there_stays(
    collection: Collection, server: Any, hasty: Patience, tmp_path: Path
) -> None:
    server.does.break_after, server.does.breaks = 200, 2
    server.does.statuses = [503]

    def stop(done: int, total: int, **_: float) -> None:
        if done >= 6:
            raise Interrupted(130)

    with pytest.raises(Interrupted):
        CollectionFetching(collection, tmp_path / "ham", hasty).run(stop)
    there = {path.name for path in (tmp_path / "ham" / "images").iterdir()}
    assert len(there) == 6
    assert not (tmp_path / "ham" / "HAM10000_metadata.csv").exists()
    before = len(server.does.asked)
    assert CollectionFetching(collection, tmp_path / "ham", hasty).run()[0] == "3 images"
    again = {name for _, name, _ in server.does.asked[before:]}
    assert not again & there


@pytest.mark.parametrize("change", [lambda image: image[:-1], lambda image: image + b"x", lambda image: b"changed" * 9])
def test_an_image_of_another_size_than_stated_is_no_image(
    collection: Collection, server: Any, hasty: Patience, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    server.does.files["ISIC_0000003.jpg"] = change(server.does.files["ISIC_0000003.jpg"])
    with pytest.raises(DataError, match=r"ISIC_0000003.jpg could not be fetched, tried 4 times: it sent"):
        CollectionFetching(collection, tmp_path / "ham", hasty).run()
    assert not (tmp_path / "ham" / "images" / "ISIC_0000003.jpg").exists()
    assert not (tmp_path / "ham" / "HAM10000_metadata.csv").exists()


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"<html>", "its answer is cut off or no JSON"),
        (b'{"results": [{"isic_id": "../x"}]}', "answers in another form"),
        (b"[]", "answers in another form"),
    ],
)
def test_answers_that_are_no_list_of_images(
    collection: Collection, server: Any, hasty: Patience, tmp_path: Path, page: bytes, message: str
) -> None:
    server.does.files["page1"] = page
    with pytest.raises(DataError, match=message):
        CollectionFetching(collection, tmp_path / "ham", hasty).run()
    assert not (tmp_path / "ham" / "HAM10000_metadata.csv").exists()


def test_a_list_that_leads_in_a_circle_or_elsewhere_ends(
    collection: Collection, server: Any, hasty: Patience, tmp_path: Path
) -> None:
    for target in (f"{server.address}/page1", "https://elsewhere.example/page"):
        page = json.loads(server.does.files["page1"])
        server.does.files["page1"] = json.dumps({**page, "next": target}).encode()
        with pytest.raises(DataError, match="in a circle or elsewhere"):
            CollectionFetching(collection, tmp_path / "ham", hasty).run()


def test_files_of_somebody_else_stay(collection: Collection, hasty: Patience, tmp_path: Path) -> None:
    (tmp_path / "HAM10000_metadata.csv").write_text("mine")
    with pytest.raises(DataError, match="was not fetched by this command"):
        CollectionFetching(collection, tmp_path, hasty).run()


def test_a_record_without_lesion_is_left_out_rather_than_taken_for_another_lesion() -> None:
    record = {"isic_id": "ISIC_1", "metadata": {"clinical": {"diagnosis_3": "Nevus"}}}
    assert row_of(record) == "no lesion named"
    assert row_of({"isic_id": "ISIC_1", "metadata": {"clinical": {}}}) == "no diagnosis"
