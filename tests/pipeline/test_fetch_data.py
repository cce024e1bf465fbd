"""`fusionnetx data` on the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.download.dataset import Fetching
from data.errors import DataError


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[Fetching]:
    """What would have been fetched."""
    seen: list[Fetching] = []

    def run(self: Fetching, progress: Any) -> list[str]:
        seen.append(self)
        progress(1, 2)
        return list(self.edition.files)

    monkeypatch.setattr(Fetching, "run", run)
    return seen


def test_the_edition_the_part_and_the_folder_are_as_asked(cli: Callable[..., Any], fetched: list[Fetching]) -> None:
    answer = cli("data", "isic2024")
    assert answer.code == 0, answer
    assert "isic-2024: fetched ISIC_2024_Training_GroundTruth.csv" in answer.out
    assert "CC BY-NC 4.0" in answer.out
    assert "next: fusionnetx check --recipe fusionnetx --data isic-2024" in answer.out
    answer = cli("data", "isic2024", "--permissive", "--part", "2/10")
    assert answer.code == 0, answer
    assert "ISIC 2024, permissive: CC BY 4.0" in answer.out
    assert cli("data", "isic2024", "--out", "here").code == 0
    assert [str(one.folder) for one in fetched] == ["isic-2024", "isic-2024-permissive-2-of-10", "here"]
    assert [str(one.part) for one in fetched] == ["None", "2/10", "None"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("isic2042",), "no data set that can be fetched is called 'isic2042'; did you mean 'isic2024'?"),
        (("ham10000", "--part", "1/10"), "ham10000 is fetched whole: leave --permissive and --part out"),
        (("isic2024", "--part", "11/10"), "--part 11/10: give the part and how many there are"),
    ],
)
def test_what_cannot_be_fetched_is_one_message(
    arguments: tuple[str, ...], said: str, cli: Callable[..., Any], fetched: list[Fetching]
) -> None:
    answer = cli("data", *arguments)
    assert answer.code == 2
    assert said in answer.err
    assert fetched == []


def test_a_failure_is_one_message(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(self: Fetching, progress: Any) -> list[str]:
        raise DataError("the server answers 404")

    monkeypatch.setattr(Fetching, "run", fail)
    answer = cli("data", "isic2024", "--out", tmp_path / "out")
    assert (answer.code, answer.err.strip()) == (2, "error: the server answers 404")
    assert not (tmp_path / "out").exists()
