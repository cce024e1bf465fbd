"""Members' probabilities to one probability per lesion: means (of probabilities, logits, ranks), weights, stackers.

Whatever is learned for the rows of a fold is learned on the other folds, so the blended out-of-fold column is as
honest as its members; the state for new lesions is learned on all rows. Every value depends on its own row alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data.errors import DataError, RecipeError, TrainingError
from data.scores.scores import UndefinedScoreError, pauc
from tabular.class_factors import class_factors, reweighted
from tabular.recipe import BlendRecipe

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
RankMap = tuple[tuple[float, ...], tuple[float, ...]]
"""Values in rising order and the share of training rows below each."""
Method = Literal["mean", "logit_mean", "rank_mean", "weighted", "stacker", "rank_stacker", "chosen"]

CHOSEN_FROM: tuple[Method, ...] = ("mean", "logit_mean", "rank_mean", "stacker", "rank_stacker")
"""What `chosen` chooses from; of equals the first."""
SMALLEST_PROBABILITY = 1e-7
"""The logit of a probability is cut here; float32 boosters reach about 6e-8."""

# Even steps, and ever finer ones towards both ends: the ranking of a rare class is decided among the last thousandths.
_TAIL = np.geomspace(1e-6, 0.1, 121)
RANK_LEVELS: Floats = np.unique(np.concatenate([np.linspace(0.0, 1.0, 401), _TAIL, 1.0 - _TAIL]))


@dataclass(frozen=True)
class BlendState:
    """A learned blend; plain numbers, kept as JSON."""

    method: Method
    members: tuple[str, ...]
    weights: tuple[float, ...] = ()
    """`weighted`: not negative, summing to one. Stackers: coefficients of the members' logits."""
    intercept: float = 0.0
    """Of a stacker."""
    ranks: tuple[RankMap, ...] = ()
    """Methods on ranks: one per member."""
    scale: RankMap | tuple[()] = ()
    """Of a chosen way: what it says as a share of training rows, for folds may choose ways of different scales."""
    class_factors: tuple[float, ...] = ()
    """Unless the likeliest class is called: what each class is multiplied by."""

    def apply(self, columns: Mapping[str, npt.ArrayLike]) -> Floats:
        """Blend lesions, each by itself; a member missing for a lesion leaves it to the others."""
        return self.apply_to(_stacked(columns, self.members))

    def apply_to(self, values: Floats) -> Floats:
        """The same on an array (rows, members), or (rows, members, classes) for the mean."""
        blended = self._blended(values)
        return np.interp(blended, *self.scale) if self.scale else blended

    def _blended(self, values: Floats) -> Floats:
        equal = np.ones(len(self.members))
        if self.method == "mean":
            mean = _mean_of_present(values, equal)
            return reweighted(mean, self.class_factors) if self.class_factors else mean
        if self.ranks:
            values = _ranked(values, self.ranks)
        if self.method == "rank_mean":
            return _mean_of_present(values, equal)
        if self.method == "logit_mean":
            return _probability(_filled_logits(values).mean(axis=1))
        if self.method == "weighted":
            blended = _mean_of_present(values, np.asarray(self.weights))
            # A lesion that only members of weight zero know is theirs to judge.
            return np.where(np.isnan(blended), _mean_of_present(values, equal), blended)
        return _probability(_filled_logits(values) @ np.asarray(self.weights) + self.intercept)

    def to_json(self) -> dict[str, Any]:
        """For `data.files.write_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "BlendState":
        """Back from JSON."""
        try:
            scale = value.get("scale") or ()
            return cls(
                method=value["method"],
                members=tuple(value["members"]),
                weights=tuple(value["weights"]),
                intercept=value["intercept"],
                ranks=tuple((tuple(points), tuple(levels)) for points, levels in value["ranks"]),
                scale=(tuple(scale[0]), tuple(scale[1])) if scale else (),
                class_factors=tuple(value.get("class_factors", ())),
            )
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(f"the blend's state cannot be read ({error!r}); blend the members again") from error


@dataclass(frozen=True)
class Blended:
    """An out-of-fold blend and what new lesions need."""

    out_of_fold: Floats
    """One per lesion (several classes: one column per class); NaN where no member has a value."""
    state: BlendState
    """Learned on all lesions, for others."""
    by_fold: Mapping[int, BlendState]
    """What each fold's lesions were blended with, learned on the other folds."""

    def to_json(self) -> dict[str, Any]:
        """The state (`BlendState.from_json` reads it back), and beside it the weights of each fold."""
        by_fold = {str(k): {"weights": s.weights, "intercept": s.intercept} for k, s in self.by_fold.items()}
        return {**self.state.to_json(), "by_fold": by_fold}


def blend(
    columns: Mapping[str, npt.ArrayLike],
    recipe: BlendRecipe,
    *,
    target: npt.ArrayLike,
    folds: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
) -> Blended:
    """Blend the members' out-of-fold columns: one value per lesion, or (for the mean) one row of classes per lesion."""
    members = tuple(columns)
    values = _stacked(columns, members)
    label, fold_of = np.asarray(target), np.asarray(folds)
    if values.ndim == 3 and recipe.method != "mean":
        raise RecipeError(
            f"tabular.blend.method = {recipe.method!r} is for two classes, the task has {values.shape[2]}; use 'mean'"
        )
    if groups is not None:
        _refuse_shared_groups(np.asarray(groups), fold_of)
    out_of_fold = np.full((len(values), *values.shape[2:]), np.nan)
    by_fold: dict[int, BlendState] = {}
    for fold in np.unique(fold_of).tolist():
        inside = fold_of == fold
        by_fold[fold] = _learn(values[~inside], members, recipe, label[~inside], fold_of[~inside])
        out_of_fold[inside] = by_fold[fold].apply_to(values[inside])
    return Blended(out_of_fold, _learn(values, members, recipe, label, fold_of), by_fold)


def _stacked(columns: Mapping[str, npt.ArrayLike], members: tuple[str, ...]) -> Floats:
    missing = [name for name in members if name not in columns]
    if missing or not members:
        raise DataError(f"members to blend are missing: {', '.join(missing) or 'all'}; train them first")
    return np.stack([np.asarray(columns[name], dtype=np.float64) for name in members], axis=1)


def _refuse_shared_groups(groups: npt.NDArray[Any], folds: npt.NDArray[Any]) -> None:
    names, code = np.unique(groups, return_inverse=True)
    pairs = np.unique(np.column_stack([code, folds]), axis=0)
    shared = names[np.flatnonzero(np.bincount(pairs[:, 0]) > 1)]
    if len(shared):
        raise DataError(
            f"{len(shared)} patients are in more than one fold (first: {shared[0]}), so no blend is honest; "
            "make the folds again"
        )


def _learn(
    values: Floats, members: tuple[str, ...], recipe: BlendRecipe, target: npt.NDArray[Any], folds: npt.NDArray[Any]
) -> BlendState:
    if recipe.method == "chosen":
        way = recipe.model_copy(update={"method": _best_method(values, members, recipe, target, folds)})
        state = _learn(values, members, way, target, folds)
        return replace(state, scale=_rank_map(state.apply_to(values)))
    if recipe.calls != "likeliest" and values.ndim == 3:
        mean = BlendState("mean", members)
        return replace(mean, class_factors=class_factors(mean.apply_to(values), target, recipe.calls))
    if recipe.method in ("mean", "logit_mean"):
        return BlendState(recipe.method, members)
    by_rank = recipe.method in ("rank_mean", "rank_stacker")
    ranks = tuple(_rank_map(column) for column in values.T) if by_rank else ()
    if recipe.method == "rank_mean":
        return BlendState("rank_mean", members, ranks=ranks)
    known = ~np.isnan(values).all(axis=1)
    values, label = values[known], target[known]
    if len(np.unique(label)) < 2:
        raise TrainingError(
            f"tabular.blend.method = {recipe.method!r} learns on the folds that it does not score, and they hold a "
            "single class; use 'mean', or folds with positives in at least two of them"
        )
    if recipe.method == "weighted":
        return BlendState("weighted", members, weights=_greedy_weights(values, label, recipe.rounds))
    if ranks:
        values = _ranked(values, ranks)
    from sklearn.linear_model import LogisticRegression

    stacker = LogisticRegression(C=recipe.inverse_regularisation, max_iter=1000).fit(_filled_logits(values), label)
    weights = tuple(stacker.coef_[0].tolist())
    return BlendState(recipe.method, members, weights, float(stacker.intercept_[0]), ranks)


def _best_method(
    values: Floats, members: tuple[str, ...], recipe: BlendRecipe, target: npt.NDArray[Any], folds: npt.NDArray[Any]
) -> Method:
    """The way to blend that scores most out of fold; of a single fold, which allows no comparison, the first."""
    numbers = np.unique(folds)
    scores = []
    for method in CHOSEN_FROM if len(numbers) > 1 else ():
        way, out_of_fold = recipe.model_copy(update={"method": method}), np.full(len(values), np.nan)
        for fold in numbers:
            inside = folds == fold
            out_of_fold[inside] = _learn(values[~inside], members, way, target[~inside], folds[~inside]).apply_to(
                values[inside]
            )
        known = ~np.isnan(out_of_fold)
        scores.append(_score(target[known], out_of_fold[known]))
    return CHOSEN_FROM[int(np.argmax(scores))] if scores else CHOSEN_FROM[0]


def _greedy_weights(values: Floats, target: npt.NDArray[Any], rounds: int) -> tuple[float, ...]:
    """Add one vote at a time to the member that helps pAUC most, votes repeatable; keep the best mixture on the way.

    Caruana et al., Ensemble selection from libraries of models (ICML 2004). pAUC has no useful gradient, and counting
    votes keeps the weights non-negative and coarse, which is what a few hundred positives can support.
    """
    equal = _mean_of_present(values, np.ones(values.shape[1]))
    filled = np.where(np.isnan(values), equal[:, None], values)
    votes = np.zeros(values.shape[1])
    total = np.zeros(len(values))
    best_score, best_votes = -1.0, votes
    for _ in range(rounds):
        scores = [_score(target, total + filled[:, i]) for i in range(values.shape[1])]
        chosen = int(np.argmax(scores))
        votes[chosen] += 1
        total += filled[:, chosen]
        if scores[chosen] > best_score:
            best_score, best_votes = scores[chosen], votes.copy()
    return tuple((best_votes / best_votes.sum()).tolist())


def _score(target: npt.NDArray[Any], score: Floats) -> float:
    try:
        return pauc(target, score)
    except UndefinedScoreError as error:
        raise TrainingError(f"weights cannot be chosen by pAUC: {error}; use tabular.blend.method = 'mean'") from error


def _mean_of_present(values: Floats, weights: Floats) -> Floats:
    """Weighted mean over axis 1 of what is not NaN; NaN where nothing with weight is there."""
    present = ~np.isnan(values)
    shaped = weights[:, None] if values.ndim == 3 else weights
    weight = (present * shaped).sum(axis=1)
    total = (np.where(present, values, 0.0) * shaped).sum(axis=1)
    mean: Floats = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)
    return mean


def _probability(logit: Floats) -> Floats:
    """Back from logits, exact at both ends."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logit)), dtype=np.float64)


def _filled_logits(values: Floats) -> Floats:
    """Logits; a missing one is the mean of the row's others."""
    clipped = np.clip(values, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    logits = np.log(clipped) - np.log1p(-clipped)
    return np.where(np.isnan(logits), _mean_of_present(logits, np.ones(values.shape[1]))[:, None], logits)


def _ranked(values: Floats, maps: tuple[RankMap, ...]) -> Floats:
    """Every member's probabilities as shares of the rows that its map was learned on."""
    return np.column_stack([np.interp(column, *ranks) for column, ranks in zip(values.T, maps, strict=True)])


def _rank_map(column: Floats) -> RankMap:
    """The distribution function of a column at some hundred points, rising strictly over the whole of [0, 1]."""
    known = column[~np.isnan(column)]
    if not len(known):
        return (0.0, 1.0), (0.0, 1.0)
    # Levels stay off 0 and 1 by half a row, which leaves room for probabilities beyond all those seen.
    levels = (0.5 + RANK_LEVELS * (len(known) - 1)) / len(known)
    points, place = np.unique(np.quantile(known, RANK_LEVELS), return_inverse=True)
    levels = np.bincount(place, levels) / np.bincount(place)
    if points[0] > 0.0:
        points, levels = np.insert(points, 0, 0.0), np.insert(levels, 0, 0.0)
    if points[-1] < 1.0:
        points, levels = np.append(points, 1.0), np.append(levels, 1.0)
    return tuple(points.tolist()), tuple(levels.tolist())
