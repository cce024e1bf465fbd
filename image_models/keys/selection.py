"""Which epoch is kept, and by which score on training patients set aside for it."""

from dataclasses import dataclass
from typing import Literal

from image_models.keys.group import Group


@dataclass(frozen=True)
class SelectionRecipe(Group):
    """The choice among epochs. Held-out lesions never have a say in it."""

    select: Literal["last", "best"] = "last"
    """`best` keeps the epoch that scores best on an inner split of the training patients, never on held-out ones."""
    select_by: Literal["score", "loss", "auc", "average_precision", "pauc", "macro_auc"] = "score"
    """What `best` means: `score` is pAUC for two classes and macro AUC for more; `loss` the smallest cross-entropy."""
    stop_after: int = 0
    """Epochs without a better inner score after which a fit with `select = "best"` ends; 0 runs all of them."""
    inner_share: float = 0.15
    """Share of the training patients in the inner split of `select = "best"`."""

    def __post_init__(self) -> None:
        """Refuse impossible values and combinations."""
        super().__post_init__()
        self.require_at_least(0, "stop_after")
        for key, idle in (("stop_after", 0), ("select_by", "score")):
            self.require(
                getattr(self, key) == idle or self.select == "best",
                key,
                'needs the score of an inner split: select = "best"',
            )
        self.require(0 < self.inner_share < 1, "inner_share", "between 0 and 1")
