"""What the tests of this folder share."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from data.errors import Interrupted
from image_models.recipe import AugmentRecipe
from image_models.training.train import FoldTask, Places, train_fold

ROWS = np.arange(48)


HELD_OUT = np.arange(48, 60)


def fit(folder: Path, recipe: Any, lesions: Any, rows: Any = ROWS, **options: Any) -> Any:
    places = {key: options.pop(key) for key in ("cache_dir", "log_dir") if key in options}
    of_task = {key: options.pop(key) for key in ("seed", "fingerprint", "inner_rows", "keep_threads") if key in options}
    task = FoldTask(recipe, lesions, rows, **{"seed": 7, "fingerprint": "toy", **of_task})
    return train_fold(task, Places(folder, **places), **{"device": "cpu", **options}).report


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class StopAt:
    """A listener that asks to stop at a step, once."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, done: int, total: int, **figures: float) -> None:
        if done == self.step:
            self.step = -1
            raise Interrupted(130)


RESUMED: dict[str, dict[str, Any]] = {
    "averaged": {},
    "frozen order of everything once": {"negatives_per_positive": 0.0, "ema_decay": 0.0, "accumulate": 2},
    "second fit": {"labels": "relabelled_then_target", "second_fit_epochs": 1, "epochs": 2},
    "best epoch": {"select": "best", "inner_share": 0.3},
    "plateau that ends early": {
        "select": "best",
        "inner_share": 0.3,
        "schedule": "plateau",
        "plateau_patience": 0,
        "stop_after": 1,
        "epochs": 5,
        "optimiser": "adam",
        "labels": "relabelled_then_target",
    },
    "weighted draws": {"sampling": "weighted", "epochs": 1},
    "mixup and focal loss": {"augment": AugmentRecipe(mixup=0.4, blur=0.5, cutout=0.5), "loss": "focal"},
    "bf16": {"precision": "bf16", "epochs": 2},
    "transformer": {"backbone": "test_vit", "image_size": 160, "drop_path": 0.2, "epochs": 1, "layer_decay": 0.7},
}
