"""More threads only for networks that gain from them, where there are cores to spare."""

import json
from pathlib import Path

import pytest
import torch

from image_models import threads
from image_models.recipe import ImageModelRecipe, MetadataRecipe
from image_models.threads import best_of, numbers_to_try, training_speeds, with_threads, worthwhile_threads

NET = ImageModelRecipe("net", "lesion_net", pretrained="none", image_size=32, batch_size=4)


@pytest.mark.parametrize(
    ("speeds", "chosen"),
    [
        ({1: 100.0}, 1),
        ({1: 100.0, 2: 120.0, 4: 124.0}, 1),  # no number gains enough
        ({1: 100.0, 2: 190.0, 4: 200.0}, 2),
        ({1: 100.0, 2: 180.0, 4: 300.0}, 4),
        ({1: 100.0, 2: 110.0, 4: 260.0}, 4),
        ({1: 100.0, 2: 60.0, 4: 40.0}, 1),
    ],
)
def test_more_threads_must_be_worth_it(speeds: dict[int, float], chosen: int):
    assert best_of(speeds) == chosen


@pytest.mark.parametrize(("most", "tried"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_powers_of_two_and_the_most_are_tried(most: int, tried: list[int]):
    assert numbers_to_try(most) == tried


def test_the_real_network_is_timed_and_leaves_the_process_as_it_was():
    with with_threads(1):
        before = torch.get_rng_state()
        speeds = training_speeds(NET, [1, 2])
        assert torch.get_num_threads() == 1
        assert torch.equal(torch.get_rng_state(), before)
    assert all(speed > 0 for speed in speeds.values())


def test_a_choice_is_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def timed(recipe: ImageModelRecipe, numbers: list[int]) -> dict[int, float]:
        asked.append(numbers)
        return dict(zip(numbers, (100.0, 190.0, 380.0), strict=True))

    monkeypatch.setattr(threads, "training_speeds", timed)
    assert [worthwhile_threads(NET, 4, tmp_path) for _ in range(3)] == [4, 4, 4]
    assert asked == [[1, 2, 4]]
    (kept,) = (tmp_path / "cpu_threads").iterdir()
    assert json.loads(kept.read_text())["images_per_second"] == {"1": 100.0, "2": 190.0, "4": 380.0}


@pytest.mark.parametrize(
    "change", [{"backbone": "none", "metadata": MetadataRecipe(columns=("age_approx",))}, {"frozen": True}]
)
def test_nothing_is_measured_where_no_images_are_trained_on(tmp_path: Path, change: dict[str, object]):
    spared = ImageModelRecipe(**{"name": "net", "backbone": "lesion_net", "pretrained": "none", **change})
    assert worthwhile_threads(spared, 8, tmp_path) == 1
    assert worthwhile_threads(NET, 1, tmp_path) == 1
    assert not (tmp_path / "cpu_threads").exists()
