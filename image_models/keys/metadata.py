"""What a network is told beside the image."""

from dataclasses import dataclass
from typing import Literal

from image_models.keys.group import Group


@dataclass(frozen=True)
class MetadataRecipe(Group):
    """What a network is told beside the image, and the branch that takes it in."""

    columns: tuple[str, ...] = ()
    """Columns of the lesion table; none means that the network sees images alone."""
    widths: tuple[int, ...] = (128, 256)
    """Fully connected layers of the branch, each followed by a ReLU; the last is the width that is fused."""
    impute: Literal["median", "mean"] = "median"
    """What a missing number becomes: the training rows' median, or their mean."""
    scale: Literal["standard", "minmax"] = "standard"
    """Numbers less their mean and divided by their deviation, or the training rows' range brought to 0 to 1."""
    components: int = 0
    """So many principal components of the scaled numbers, fitted on training rows, in place of them; 0: as they are."""
    missing_flags: bool = True
    """One more input per numeric column with gaps: 1 where the number is missing."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.require(len(set(self.columns)) == len(self.columns), "columns", "a column is named twice")
        self.require_at_least(0, "components")
        self.require(bool(self.widths) and min(self.widths) >= 1, "widths", "at least one width of at least 1")
