"""What the page says of a lesion is what `fusionnetx explain` and `predict` say of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.page.conftest import Served


@pytest.mark.parametrize("key", ["training", "test"])
def test_a_patient_by_itself_is_explained_as_among_everyone(served: Served, cli: Any, tmp_path: Path, key: str):
    view = served.page.opened.views[key]
    row = int(view.rows_of(1)[0])
    lesion = str(view.cohort.ids[row])
    found = served.page.explainer.ask(view, row).result(120)
    answer = cli("explain", "--run", served.page.opened.run.folder, "--lesion", lesion, "--out", tmp_path / "sheets")
    assert answer.code == 0, answer
    sheet = json.loads(next((tmp_path / "sheets").glob("*.json")).read_text())
    assert [one["model"] for one in found["networks"]] == [one["model"] for one in sheet["networks"]]
    for mine, theirs in zip(found["networks"], sheet["networks"], strict=True):
        assert mine["score"] == pytest.approx(theirs["score"], abs=1e-6)
    assert found["said_in_words"] == sheet["said_in_words"]
    assert found["boosters"]["total"] == pytest.approx(sheet["boosters"]["total"], abs=1e-6)
    assert [push["feature"] for push in found["boosters"]["features"]] == [
        push["feature"] for push in sheet["boosters"]["features"]
    ]
    assert found["said"] == pytest.approx(sheet["said"], abs=1e-6)
    assert view.score[row] == pytest.approx(sheet["blend"], abs=1e-6)
    # It is kept, and found again without asking.
    assert served.page.explainer.kept(view, row) == found
    assert served.page.explainer.heat_map(view, row, 0).startswith(b"\x89PNG")


def test_looking_leaves_the_run_as_it_was(served: Served, cli: Any):
    answer = cli("verify", "--run", served.page.opened.run.folder)
    assert answer.code == 0, answer
    assert "page" not in answer.out.replace(str(served.page.opened.run.folder), "")
