"""The largest numbers that keys of an image model take, each with its reason.

A recipe is input like any other: a number beyond these asks for more memory or time than there is, or means nothing.
"""

from typing import Any

LONGER = "more would train for years"
WIDER = "a wider layer alone takes more memory than a GPU has"
MORE = "more lesions at once fit into no memory"

MOST: dict[str, tuple[float, str]] = {
    "widths": (8192, WIDER),
    "hidden": (8192, WIDER),
    "components": (8192, WIDER),
    "gem_kernels": (2048, "no image is larger"),
    "image_size": (2048, "packs of images end there (data.image_size)"),
    "second_image_size": (2048, "packs of images end there (data.image_size)"),
    "negatives_per_positive": (1e6, "no cohort has more negatives for each positive"),
    "positive_repeats": (10_000, "an epoch of more repetitions ends in no lifetime"),
    "batch_size": (65_536, MORE),
    "predict_batch_size": (65_536, MORE),
    "accumulate": (65_536, "an epoch has fewer batches"),
    "crop_ratio": (100, "a picture a hundred times as wide as high shows nothing"),
    "mixup": (1000, "a Beta distribution of more than that is a half"),
    "weight_decay": (1000, "more leaves no weight"),
    "clip_norm": (1e6, "more clips nothing; 0 clips nothing, too"),
    "focal_gamma": (100, "more leaves no gradient that single precision holds"),
    "class_weights": (1e6, "more leaves the other classes no gradient"),
    "epochs": (100_000, LONGER),
    "second_fit_epochs": (100_000, LONGER),
    "small_epochs": (100_000, LONGER),
    "held_stages": (1000, "no network has more stages"),
    "cosine_steps": (1e9, LONGER),
    "plateau_patience": (100_000, LONGER),
    "stop_after": (100_000, LONGER),
    "learning_rate": (100, "weights would leave the numbers after one step"),
    "checkpoint_seconds": (1e8, "three years are never"),
}


def above_most(key: str, value: Any) -> str | None:
    """Why a value is too large for its key; None when it is not, or when the key knows no end."""
    if key not in MOST:
        return None
    most, why = MOST[key]
    numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, int | float)]
    return f"at most {most:,.10g}: {why}" if max(numbers, default=0) > most else None
