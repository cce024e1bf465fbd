"""What an epoch shows: which lesions, how often, with which labels, changed how."""

from dataclasses import dataclass, field
from typing import Literal

from image_models.keys.augment import AugmentRecipe
from image_models.keys.group import Group


@dataclass(frozen=True)
class SamplingRecipe(Group):
    """The rows, labels and batches of a fit."""

    labels: Literal["target", "relabelled", "relabelled_then_target"] = "target"
    sampling: Literal["ratio", "all", "weighted"] = "ratio"
    """`ratio`: the positives, and some negatives for each; `all` takes every training row once; `weighted` draws as
    many rows with replacement, every class equally often."""
    negatives_per_positive: float = 1.0
    """Negatives drawn anew each epoch per positive by `sampling = "ratio"`; 0, or more than two classes, takes every
    training row once."""
    positive_repeats: int = 1
    """How often each positive is shown per epoch."""
    batch_size: int = 32
    accumulate: int = 1
    """Batches per optimiser step."""
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        super().__post_init__()
        self.require_at_least(1, "batch_size", "accumulate", "positive_repeats")
        self.require_at_least(0, "negatives_per_positive")
        self.require(
            self.positive_repeats == 1 or self.sampling == "ratio",
            "positive_repeats",
            f'belongs to sampling = "ratio"; sampling is {self.sampling!r}',
        )
