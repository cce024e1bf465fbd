"""The largest numbers that parameters of a learner take, and tuning may try, each with its reason."""

from tabular.learners.search_space import SearchSpace, Value

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
