"""The values a parameter of a learner may have, and those that tuning may give it."""

from pydantic import BaseModel, ConfigDict, model_validator

Value = bool | int | float | str


class SearchSpace(BaseModel):
    """Values tuning may give a parameter: `{low, high, log}` (whole numbers when both bounds are) or `{choices}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _one_kind(self) -> "SearchSpace":
        if self.choices:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("choices and low/high exclude each other; keep one")
        elif self.low is None or self.high is None:
            raise ValueError("give low and high, or choices")
        elif self.low >= self.high:
            raise ValueError(f"low = {self.low} must be below high = {self.high}")
        elif self.log and self.low <= 0:
            raise ValueError(f"low = {self.low} must be above 0 when log = true")
        return self
