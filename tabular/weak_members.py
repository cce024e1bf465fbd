"""Members that a blend would be better without, or that lie below all their peers: worth a warning, never an error.

A difference counts only when its interval over patients (the same draws for both sides) leaves 0 out, so chance alone
names a member about once in forty blends.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data.predictions import known_rows
from data.scores.intervals import Interval, paired_bootstrap
from data.scores.scores import SCORES, UndefinedScoreError
from tabular.blend import blend
from tabular.recipe import BlendRecipe, MemberRecipe

Floats = npt.NDArray[np.float64]
REPLICATES = 200
"""Of each bootstrap: enough for a warning."""


@dataclass(frozen=True)
class Weakness:
    """What is wrong with a member."""

    member: str
    kind: Literal["behind", "harmful"]
    """`behind` its weakest peer, or `harmful` to the blend."""
    score: float
    other: float
    """Score of the weakest peer, or of the blend without the member."""
    low: float
    high: float
    """Interval of the loss."""

    def sentence(self, score_name: str, groups: str) -> str:
        """For the display; `groups` is what the interval is over."""
        loss = f"{self.other - self.score:.4f} ({self.low:.4f} to {self.high:.4f} over {groups})"
        if self.kind == "behind":
            return (
                f"member {self.member} lies below every other member: {score_name} {self.score:.4f}, the next "
                f"{self.other:.4f}, {loss} apart; look at its parameters"
            )
        return (
            f"the blend is better without member {self.member}: {score_name} {self.other:.4f} instead of "
            f"{self.score:.4f}, a gain of {loss}; leave it out or look at its parameters"
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Answers:
    """What members are compared on."""

    target: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    groups: npt.NDArray[Any]
    score: str

    def loss(self, better: Floats, worse: Floats, seed: int) -> Interval:
        """How far one column lies below another, with its interval over patients."""
        known = known_rows(better, worse)
        rows = (self.target[known], better[known], worse[known], self.groups[known])
        difference = paired_bootstrap(*rows, score=self.score, replicates=REPLICATES, seed=seed)
        return difference if SCORES[self.score].higher_is_better else reversed_sign(difference)

    def value(self, column: Floats) -> float:
        """Score of a column, lesions without a probability left out."""
        known = known_rows(column)
        return SCORES[self.score](self.target[known], column[known])

    def rank(self, column: Floats) -> float:
        """The same, so that more is better."""
        value = self.value(column)
        return value if SCORES[self.score].higher_is_better else -value


def weak_members(
    columns: Mapping[str, Floats],
    blended: Floats,
    recipe: BlendRecipe,
    members: tuple[MemberRecipe, ...],
    answers: Answers,
    seed: int,
) -> list[Weakness]:
    """Every weakness of the members, in their order; `columns` are their out-of-fold probabilities.

    None where the lesions do not define the score.
    """
    found = []
    with suppress(UndefinedScoreError):
        for member in members:
            found += behind(columns, member, members, answers, seed)
            found += harmful(columns, blended, recipe, member, answers, seed)
    return found


def behind(
    columns: Mapping[str, Floats],
    member: MemberRecipe,
    members: tuple[MemberRecipe, ...],
    answers: Answers,
    seed: int,
) -> list[Weakness]:
    """Whether a member lies below each of those that see the same columns; two of these are needed to say so."""
    peers = [one.name for one in members if one.name != member.name and one.image_columns == member.image_columns]
    if len(peers) < 2:
        return []
    weakest = min(peers, key=lambda name: answers.rank(columns[name]))
    if answers.rank(columns[weakest]) <= answers.rank(columns[member.name]):
        return []
    loss = answers.loss(columns[weakest], columns[member.name], seed)
    if loss.low <= 0:
        return []
    scores = answers.value(columns[member.name]), answers.value(columns[weakest])
    return [Weakness(member.name, "behind", *scores, loss.low, loss.high)]


def harmful(
    columns: Mapping[str, Floats],
    blended: Floats,
    recipe: BlendRecipe,
    member: MemberRecipe,
    answers: Answers,
    seed: int,
) -> list[Weakness]:
    """Whether the blend of the others is better than the blend of all."""
    others = {name: column for name, column in columns.items() if name != member.name}
    if not others:
        return []
    without = blend(others, recipe, target=answers.target, folds=answers.folds).out_of_fold
    if answers.rank(without) <= answers.rank(blended):
        return []
    loss = answers.loss(without, blended, seed)
    if loss.low <= 0:
        return []
    return [Weakness(member.name, "harmful", answers.value(blended), answers.value(without), loss.low, loss.high)]


def reversed_sign(interval: Interval) -> Interval:
    """The interval of the difference the other way round."""
    return Interval(
        -interval.high,
        -interval.low,
        -interval.estimate,
        interval.replicates,
        interval.n_invalid,
        interval.confidence,
    )
