"""A toy task small enough to train on in a second: lesions on noise, the positives with a bright square."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from image_models.lesions import Lesions
from image_models.networks.metadata_shape import MetadataShape
from image_models.recipe import AugmentRecipe, ImageModelRecipe

MakeLesions = Callable[..., Lesions]
MakeRecipe = Callable[..., ImageModelRecipe]


@pytest.fixture
def toy_lesions() -> MakeLesions:
    """Four lesions per patient; class c > 0 shows a bright square in colour channel c - 1."""

    def make(count: int = 60, side: int = 24, seed: int = 0, classes: int = 2, **changes: Any) -> Lesions:
        rng = np.random.default_rng(seed)
        target = rng.integers(0, classes, count)
        target[:classes] = np.arange(classes)
        images = rng.integers(60, 120, (count, side, side, 3), dtype=np.uint8)
        for row in np.flatnonzero(target):
            images[row, 6:16, 6:16, target[row] - 1] = 220
        arrays = {
            "images": images,
            "present": np.ones(count, dtype=np.bool_),
            "target": target,
            "training_label": target.copy(),
            "group": np.arange(count) // 4,
            "classes": classes,
            "ids": np.array([f"L{row:03}" for row in range(count)]),
        }
        return Lesions(**{**arrays, **changes})

    return make


@pytest.fixture
def toy_recipe() -> MakeRecipe:
    """A small network from scratch, with dropout, augmentation and averaged weights."""

    def make(**changes: Any) -> ImageModelRecipe:
        settings = {
            "name": "toy",
            "backbone": "lesion_net",
            "pretrained": "none",
            "image_size": 32,
            "hidden": 8,
            "epochs": 3,
            "batch_size": 8,
            "learning_rate": 3e-3,
            "cosine_steps": 0,
            "ema_decay": 0.9,
            "checkpoint_seconds": 3600.0,
            "augment": AugmentRecipe(rotation_degrees=20.0),
        }
        return ImageModelRecipe(**{**settings, **changes})

    return make


@pytest.fixture
def told() -> Callable[[Lesions], Lesions]:
    """Lesions with metadata that say something of the class: a number, a flag, and a site of three."""

    def make(lesions: Lesions) -> Lesions:
        rng = np.random.default_rng(1)
        count = len(lesions)
        number = lesions.target + rng.normal(0, 0.5, count)
        site = np.eye(3)[rng.integers(0, 3, count)] * (rng.random(count) > 0.2)[:, None]
        return replace(
            lesions,
            metadata=np.column_stack([number, rng.random(count) < 0.1, site]).astype(np.float32),
            metadata_shape=MetadataShape(
                ("age", "age missing", "site = a", "site = b", "site = c"), sites=(2, 3, 4), groups=((0, 1), (2, 3, 4))
            ),
        )

    return make


@pytest.fixture
def single_threaded() -> Any:
    """One CPU thread: the toy networks are too small for two, and other tests may be running."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
