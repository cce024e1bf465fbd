"""The recipe of what follows the blend: from its scores to probabilities, thresholds and prediction sets."""

from typing import Literal

from pydantic import Field, field_validator

from data.strict import Strict


class CalibrateRecipe(Strict):
    """What is made of the blend's out-of-fold scores; submission.csv does not change with it."""

    method: Literal["auto", "prior", "platt", "beta", "isotonic"] = "auto"
    """`auto` takes the one with the smallest log loss on folds that it was not fitted on; many classes always get one
    temperature."""
    sensitivities: tuple[float, ...] = (0.80, 0.90, 0.95)
    """Sensitivities over patients for which a threshold is kept; two classes only."""
    level: float = Field(default=0.90, gt=0.0, lt=1.0)
    """Share of the lesions of each class whose prediction set shall hold the class."""

    @field_validator("sensitivities")
    @classmethod
    def _rising_shares(cls, wanted: tuple[float, ...]) -> tuple[float, ...]:
        if list(wanted) != sorted(set(wanted)) or any(not 0.0 < one < 1.0 for one in wanted):
            raise ValueError("sensitivities must be different shares between 0 and 1, rising")
        return wanted
