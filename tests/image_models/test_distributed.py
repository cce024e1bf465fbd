"""Two real processes against one: the same weights, the same answers, no lesion lost.

Run as a program, this file is one process of several: `python test_distributed.py FOLDER RANK COUNT`.
"""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from timm.layers import BatchNormAct2d
from torch import distributed, nn

from data.errors import Interrupted
from image_models.lesions import Lesions
from image_models.networks.metadata_shape import MetadataShape
from image_models.predict import predict
from image_models.recipe import AugmentRecipe, ImageModelRecipe, MetadataRecipe
from image_models.training.ddp_model import with_shared_statistics
from image_models.training.distributed import ALONE, Ranks
from image_models.training.train import FoldTask, Places, train_fold

STILL = {
    "dropout": 0.0,
    "epochs": 2,
    "ema_decay": 0.9,
    "learning_rate": 1e-3,
    "batch_size": 7,
    "clip_norm": 0.5,
    "precision": "fp32",
}
"""No dropout, whose masks belong to a process; batches that two processes cannot share evenly."""
TOLD = MetadataRecipe(columns=("age", "elsewhere"), widths=(6,))

CASES: dict[str, dict[str, Any]] = {
    "transformer": {"backbone": "lesion_vit", "accumulate": 2, "class_weights": (1.0, 3.0)},
    "mixup": {"backbone": "lesion_vit", "augment": AugmentRecipe(mixup=0.4, blur=0.5, cutout=0.5), "metadata": TOLD},
    "batch norm": {"backbone": "lesion_net", "classifier": "batch_norm", "learning_rate": 1e-5},
    "best epoch": {
        "backbone": "lesion_vit", "select": "best", "inner_share": 0.3, "schedule": "plateau", "plateau_patience": 0,
        "labels": "relabelled_then_target", "second_fit_epochs": 1, "test_time": "flips",
    },
    "frozen": {"backbone": "lesion_net", "frozen": True, "metadata": TOLD, "predict_batch_size": 8},
    "metadata": {"backbone": "none", "metadata": TOLD},
}  # fmt: skip
STOPPED, STOP = "transformer", 4
"""A case that is stopped too, and behind which step."""
LOOSE = {"batch norm": 1e-4}
"""Where Adam's first steps follow the sign of gradients that are all but zero, so that rounding moves some weights."""
COUNTS = (1, 2, 3, 7, 10)
"""Lesions predicted at once."""


def recipe_of(case: str) -> ImageModelRecipe:
    """The recipe of a case."""
    settings = {**STILL, **CASES[case]}
    return ImageModelRecipe(
        **{"name": "toy", "pretrained": "none", "image_size": 32, "hidden": 8, "checkpoint_seconds": 1e6, **settings}
    )


def toy_lesions(case: str) -> Lesions:
    """48 lesions to learn from and 12 more, some without an image."""
    rng = np.random.default_rng(5)
    target = rng.integers(0, 2, 60)
    images = rng.integers(60, 120, (60, 24, 24, 3), dtype=np.uint8)
    images[target == 1, 6:16, 6:16, 0] = 220
    told = "metadata" in CASES[case]
    return Lesions(
        images=images,
        present=np.arange(60) % 11 != 3,
        target=target,
        training_label=np.where(np.arange(60) % 7 == 0, 1, target),
        group=np.arange(60) // 4,
        classes=2,
        ids=np.array([f"L{row:02}" for row in range(60)]),
        metadata=np.column_stack([target + rng.normal(0, 0.5, 60), rng.random(60)]).astype(np.float32)
        if told
        else None,
        metadata_shape=MetadataShape(("age", "elsewhere"), sites=(), groups=((0,), (1,))) if told else None,
        images_fingerprint="toy",
    )


def learn(case: str, folder: Path, ranks: Ranks = ALONE, stop: int = 0) -> None:
    """Train a case and write what its model says of the other lesions, by number of lesions asked for at once."""

    def progress(done: int, total: int, **figures: float) -> None:
        if done == stop:
            raise Interrupted(130)

    recipe, lesions = recipe_of(case), toy_lesions(case)
    cache = folder.parent / f"cache of {folder.name}"
    task, places = FoldTask(recipe, lesions, np.arange(48), 7, case), Places(folder, cache_dir=cache)
    model = train_fold(task, places, device="cpu", ranks=ranks, progress=progress).network
    for count in COUNTS:
        rows = np.arange(60)[-count:]
        found = predict(model, recipe, lesions, rows, device="cpu", cache_dir=cache, ranks=ranks)
        np.save(folder / f"{count} by {ranks.number}.npy", found)


def normalise(path: Path, ranks: Ranks = ALONE) -> None:
    """Write the gradients and the statistics of a network with batch norms, in float64, from 7 images."""
    torch.manual_seed(3)
    network: nn.Module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3), BatchNormAct2d(5), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.BatchNorm1d(5, affine=False, momentum=None), nn.Linear(5, 1),
    ).double()  # fmt: skip
    images, wanted = torch.randn(7, 3, 8, 8).double(), torch.randn(7, 1).double()
    if ranks.count > 1:
        network = with_shared_statistics(network, torch.device("cpu"))
        assert not any(type(module) is nn.BatchNorm2d for module in network.modules())
    mine = ranks.share(7)
    ((network(images[mine]) - wanted[mine]) ** 2).sum().backward()
    gradients = {name: ranks.total(weight.grad).numpy() for name, weight in network.named_parameters()}
    np.savez(path.with_suffix(f".{ranks.number}.npz"), **gradients, **dict(network.named_buffers()))


def main(folder: Path, number: int, count: int) -> None:
    """Join the others and train all cases."""
    torch.set_num_threads(1)
    store = distributed.FileStore(str(folder / "meeting place"), count)
    distributed.init_process_group("gloo", store=store, rank=number, world_size=count, timeout=timedelta(seconds=20))
    for case in CASES:
        learn(case, folder / case, Ranks(number, count))
    normalise(folder / "normalised.npz", Ranks(number, count))
    # The other process finds itself left alone, and that is an error.
    learn(STOPPED, folder / "stopped", Ranks(number, count), STOP)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made of all cases."""
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-W", "ignore", __file__, str(folder)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    both = [
        subprocess.Popen([*command, str(number), "2"], stderr=subprocess.PIPE, text=True, env=settings)
        for number in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert said[0].rstrip().endswith("Interrupted: interrupted (exit code 130)"), said
    assert both[1].returncode != 0
    return folder


@pytest.mark.usefixtures("single_threaded")
@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_and_predict_as_one(together, tmp_path, case):
    learn(case, tmp_path / case)
    one, two = (load_file(folder / case / "model.safetensors") for folder in (tmp_path, together))
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(
            two[name], one[name], rtol=1e-3, atol=LOOSE.get(case, 1e-5), msg=lambda text, name=name: f"{name}: {text}"
        )
    for count in COUNTS:
        alone = np.load(tmp_path / case / f"{count} by 0.npy")
        missing = ~toy_lesions(case).present[-count:] & (CASES[case]["backbone"] != "none")
        np.testing.assert_array_equal(np.isnan(alone[:, 0]), missing)
        for number in range(2):
            found = np.load(together / case / f"{count} by {number}.npy")
            np.testing.assert_allclose(found, alone, rtol=2e-4)


@pytest.mark.usefixtures("single_threaded")
def test_what_two_processes_began_one_finishes(together, tmp_path):
    folder = together / "stopped"
    assert (folder / "last.safetensors").exists()
    assert not (folder / "model.safetensors").exists()
    learn(STOPPED, folder)
    assert f'"resumed_at_step": {STOP}' in (folder / "training.json").read_text()
    one, two = load_file(folder / "model.safetensors"), load_file(together / STOPPED / "model.safetensors")
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)


def test_batch_norm_over_two_processes_is_batch_norm_of_the_whole_batch(together, tmp_path):
    normalise(tmp_path / "normalised.npz")
    one = np.load(tmp_path / "normalised.0.npz")
    for number in range(2):
        two = np.load(together / f"normalised.{number}.npz")
        assert set(one) == set(two)
        for name in one:
            np.testing.assert_allclose(two[name], one[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 8, 9, 100])
def test_shares_are_each_row_once_and_even(count, length):
    rows = np.arange(length)
    shares = [rows[Ranks(number, count).share(length)] for number in range(count)]
    np.testing.assert_array_equal(np.concatenate(shares), rows)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert sizes[0] == max(sizes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
