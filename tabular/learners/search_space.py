"""The values a parameter of a learner may have, and those that tuning may give it."""

from pydantic import model_validator

from data.strict import Strict

Value = bool | int | float | str


class SearchSpace(Strict):
    """Values tuning may give a parameter: `{low, high, log}` (whole numbers when both bounds are) or `{choices}`."""

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


MOST_OF_ANY = 2**31 - 1
DEEPEST = "a tree of that depth has more leaves than there are lesions"
FINER = "the libraries number the bins of a column in 16 bits"
MOST: dict[str, tuple[float, str]] = {
    "max_depth": (64, DEEPEST),
    "depth": (64, DEEPEST),
    "num_leaves": (131_072, "LightGBM takes no more"),
    "max_leaves": (131_072, "a tree of more leaves has none for each lesion"),
    "max_bin": (65_535, FINER),
    "border_count": (65_535, FINER),
}
"""By the one spelling of the parameter."""
NAMED = """
booster boosting boosting_type bootstrap_type data_sample_strategy feature_border_type grow_policy
leaf_estimation_method model_shrink_mode nan_mode normalize_type sample_type sampling_frequency sampling_method
score_function
"""
WORDS = frozenset(NAMED.split())
"""Parameters that are words; all others are numbers, or true or false."""


def require_within(name: str, value: Value) -> None:
    """ValueError for a number that no library can use, and for a word in its place."""
    if isinstance(value, str) and name not in WORDS:
        raise ValueError(f"{name} = {value[:40]!r} should be a number")
    if isinstance(value, bool | str):
        return
    most, why = MOST.get(name, (MOST_OF_ANY, "the libraries hold such numbers in 32 bits"))
    if not -MOST_OF_ANY <= value <= most:
        raise ValueError(f"{name} = {value}: from {-MOST_OF_ANY:,} to {most:,}: {why}")


def require_space_within(name: str, space: SearchSpace) -> None:
    """The same of every value that tuning may draw."""
    for value in (space.low, space.high, *space.choices):
        if value is not None:
            require_within(name, value)
