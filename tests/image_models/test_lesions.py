from typing import Any

import numpy as np
import pytest

from image_models.lesions import UNKNOWN, Lesions
from image_models.networks.metadata_shape import MetadataShape

SHAPE = MetadataShape(("age", "size"))


def lesions(**changes: Any) -> Lesions:
    arrays: dict[str, Any] = {
        "images": np.zeros((3, 8, 8, 3), np.uint8),
        "present": np.ones(3, np.bool_),
        "target": np.array([0, 1, UNKNOWN]),
        "training_label": np.array([1, 1, UNKNOWN]),
        "group": np.array([0, 0, 1]),
        "classes": 2,
        "ids": np.array(["a", "b", "c"]),
    }
    return Lesions(**{**arrays, **changes})


def test_binary_lesions_have_one_probability_column() -> None:
    assert (len(lesions()), lesions().columns, lesions(classes=7).columns) == (3, 1, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"group": np.zeros(2, np.int64), "present": np.ones(4, np.bool_)},
            "3 lesion ids, but present has 4 rows, gr",
        ),
        ({"metadata": np.zeros((2, 5), np.float32)}, "metadata has 2 rows"),
        ({"metadata": np.zeros((3, 2), np.float32)}, "go together"),
        (
            {"metadata": np.zeros((3, 5), np.float32), "metadata_shape": SHAPE},
            r"float32 \(3, 5\), not float32 \(3, 2\)",
        ),
        ({"metadata": np.zeros((3, 2)), "metadata_shape": SHAPE}, "metadata is float64"),
        ({"metadata": np.full((3, 2), np.nan, np.float32), "metadata_shape": SHAPE}, "missing or infinite"),
        ({"images": np.zeros((3, 8, 8, 3), np.float32)}, "not uint8"),
        ({"images": np.zeros((3, 3, 8, 8), np.uint8)}, "not uint8 \\(n, side, side, 3\\)"),
        ({"present": np.ones(3, np.int64)}, "not bool"),
        ({"target": np.array([0, 1, 2])}, "target runs from 0 to 2, not -1 to 1"),
        ({"training_label": np.array([0, 1, -2])}, "training_label runs from -2 to 1"),
        ({"classes": 1}, "at least 2"),
    ],
)
def test_refuses_arrays_that_do_not_belong_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lesions(**changes)


def test_memory_maps_are_taken_as_they_are(tmp_path: Any) -> None:
    images = np.memmap(tmp_path / "pack", np.uint8, "w+", shape=(3, 8, 8, 3))
    assert lesions(images=images).images is images
