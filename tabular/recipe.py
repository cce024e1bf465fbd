"""The part of a recipe about stage two after the features: members, resampling, blending, tuning.

Frozen strict models; the defaults are the four members of the FusionNetX paper and the parameters that its Table 2
rounds. What a member leaves out is completed from its learner on reading, so that a saved recipe says all of it; a
search space is the learner's own unless the recipe gives one. Loads no library of a learner.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from data.errors import RecipeError
from data.strict import Strict
from tabular.calibrate import CalibrateRecipe
from tabular.class_factors import Calls
from tabular.learners.learner import Device, Learner
from tabular.learners.registry import LEARNERS
from tabular.learners.search_space import SearchSpace, Value, require_space_within


class MemberRecipe(Strict):
    """One member of the ensemble: a learner, what it sees, how it is trained."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)
    """Name of the member's out-of-fold column and folder."""
    booster: str
    """Name of its learner; most are boosters."""
    start: Literal["published", "table_two", "library"] = "published"
    """Where parameters not given come from: the learner's file (the whole public set, or Table 2 as printed), or the
    defaults of its library."""
    image_columns: bool = True
    """False trains on metadata alone."""
    native_categories: bool = True
    """Hand categorical columns over as categories; False lets their codes count as numbers."""
    seeds: tuple[int, ...] = Field(default=(42,), min_length=1)
    """One model per seed, averaged."""
    device: Device | None = Field(default=None, validate_default=True)
    """`auto` takes a GPU where the learner can use one; `gpu` insists; left out: as the learner's file says."""
    iterations: int = Field(default=0, ge=0, le=1_000_000, validate_default=True)
    """Boosting rounds (with early stopping: at most) or steps of a solver; 0 takes those of the learner's file.
    A model of a million trees fills gigabytes."""
    parameters: dict[str, Value] = Field(default_factory=dict, validate_default=True)
    """The learner's own parameters; those of its file that are not given are added."""
    early_stopping: int = Field(default=0, ge=0, le=1_000_000)
    """Rounds without a better AUC before stopping, watched on an inner split of the training patients; 0 is off. No
    more than `iterations` can be."""
    inner_share: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Share of the training patients in that inner split."""
    by_fold: tuple[dict[str, Value], ...] = ()
    """What replaces parameters (and `iterations`) on each fold: what a search inside its training patients found."""

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Named where it says something, so that what was fitted before there was the key still holds."""
        written: dict[str, Any] = write(self)
        return {name: value for name, value in written.items() if name != "by_fold" or value}

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return different_seeds(seeds)

    @field_validator("booster")
    @classmethod
    def _learner_exists(cls, name: str) -> str:
        if name not in LEARNERS:
            *others, last = map(repr, LEARNERS)
            raise ValueError(f"Input should be {', '.join(others)} or {last}")
        return name

    @field_validator("device")
    @classmethod
    def _complete_device(cls, device: Device | None, info: ValidationInfo) -> Device | None:
        learner = _learner(info)
        return device or (learner.defaults.device if learner else None)

    @field_validator("iterations")
    @classmethod
    def _complete_iterations(cls, iterations: int, info: ValidationInfo) -> int:
        learner = _learner(info)
        return iterations or (learner.defaults.iterations if learner else 0)

    @field_validator("parameters")
    @classmethod
    def _complete_parameters(cls, given: dict[str, Value], info: ValidationInfo) -> dict[str, Value]:
        learner = _learner(info)
        if learner is None:
            return given
        parameters = learner.canonical_parameters(given)
        return {**learner.start(info.data.get("start", "published")), **parameters}

    @field_validator("early_stopping")
    @classmethod
    def _can_stop_early(cls, patience: int, info: ValidationInfo) -> int:
        learner = _learner(info)
        if patience and learner and not learner.stops_early:
            raise ValueError(f"{learner.name} does not train in rounds that could be watched; set early_stopping = 0")
        return patience

    @property
    def learner(self) -> Learner:
        """What trains it."""
        return LEARNERS[self.booster]

    def with_parameters(self, changed: Mapping[str, Value]) -> "MemberRecipe":
        """The same member with some parameters (and perhaps `iterations`) replaced, as tuning does."""
        parameters = {name: value for name, value in changed.items() if name != "iterations"}
        return MemberRecipe(
            **{
                **self.model_dump(),
                "by_fold": (),
                "iterations": int(changed.get("iterations", self.iterations)),
                "parameters": {**self.parameters, **self.learner.canonical_parameters(parameters)},
            }
        )

    def of_fold(self, fold: int) -> "MemberRecipe":
        """The member as it is fitted on a fold."""
        if not self.by_fold:
            return self
        if fold >= len(self.by_fold):
            raise RecipeError(
                f"tabular.members: by_fold of {self.name} is for {len(self.by_fold)} folds, and there is a fold "
                f"{fold}; leave it out, or use the folds it was found on"
            )
        return self.with_parameters(self.by_fold[fold])


def different_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Seeds as every library takes them; ValueError for others."""
    if len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= 2**31:
        raise ValueError("seeds must be different whole numbers from 0 to 2147483647")
    return seeds


def _learner(info: ValidationInfo) -> Learner | None:
    """The learner of a member that is being read, unless its name was refused."""
    return LEARNERS[info.data["booster"]] if "booster" in info.data else None


class ResampleRecipe(Strict):
    """How the rarity of the positive class is met, in training rows only."""

    method: Literal["over_then_under", "none", "class_weights", "under_bags"] = "over_then_under"
    """`under_bags` trains one model per bag of all positives and a fresh draw of negatives, and averages them."""
    over_ratio: float = Field(default=0.003, gt=0.0, le=1.0)
    """Positives per negative after oversampling."""
    under_ratio: float = Field(default=0.01, gt=0.0, le=1.0)
    """Positives per negative after undersampling."""
    bags: int = Field(default=5, ge=1, le=1000)
    """Number of bags of `under_bags`, each a model of its own; a thousand leave nothing to average out."""

    @model_validator(mode="after")
    def _ratios_in_order(self) -> "ResampleRecipe":
        if self.method == "over_then_under" and self.over_ratio > self.under_ratio:
            raise ValueError(
                f"over_ratio = {self.over_ratio} is above under_ratio = {self.under_ratio}: oversampling would "
                "already pass the ratio that undersampling aims at; lower over_ratio or raise under_ratio"
            )
        return self


class BlendRecipe(Strict):
    """How members become one probability."""

    method: Literal["mean", "logit_mean", "rank_mean", "weighted", "stacker", "rank_stacker", "chosen"] = "mean"
    """`mean` is the soft vote; the stackers are logistic regressions on logits of the members or of their ranks;
    `chosen` takes the way that scores most. Whatever is learned for a fold's rows is learned on the other folds."""
    rounds: int = Field(default=20, ge=1, le=10_000)
    """Votes given out in the search for weights (`weighted`); ten thousand are its fourth decimal."""
    inverse_regularisation: float = Field(default=1.0, gt=0.0, le=1e9)
    """C of the logistic regression of a stacker; from a thousand million on nothing is regularised."""
    calls: Calls = "likeliest"
    """With several classes: others multiply each class by a factor that makes the likeliest class score most."""


class TuneRecipe(Strict):
    """How Optuna searches the members' parameters; the member as the recipe has it is always the first trial."""

    trials: int = Field(default=0, ge=0, le=100_000)
    """Trials per member, those of earlier runs of the same study included; 0 leaves the members as they are. The
    sampler takes time with the square of them."""
    members: tuple[str, ...] = ()
    """Members to tune; none named: all."""
    scope: Literal["fold", "shared"] = "fold"
    """`fold` searches anew for every fold, on inner folds of its training patients, so that no parameter knows the
    fold it is scored on. `shared` makes one search on the run's folds, which takes as many times less: its scores are
    optimistic."""
    inner_folds: int = Field(default=0, ge=0, le=100)
    """At most so many of the inner folds score a trial; 0 takes all. There are at most a hundred folds."""
    rounds: int = Field(default=0, ge=0, le=1_000_000)
    """Boosting rounds of a trial at most, for a quick search of what does not depend on their number; 0 is no limit.
    The winner is fitted with its own."""
    jobs: int = Field(default=1, ge=1, le=1024)
    """Trials at the same time; more than one gives up exact repeatability. No machine has more than 1024 cores."""
    workers: int = Field(default=1, ge=1, le=1024)
    """Processes of a cluster that search one study together, each with `jobs` trials at the same time;
    more would wait for the one study."""
    seed: int = Field(default=42, ge=0, lt=2**32)
    startup_trials: int = Field(default=10, ge=1, le=100_000)
    """Random trials before the sampler models the scores; there are at most as many trials."""
    prune_p: float = Field(default=0.1, ge=0.0, le=1.0)
    """A trial stops once a signed-rank test over its blocks calls it worse than the best at this level; 0 is never.

    A fold has up to four blocks, of 15 positives at least. k blocks can reach 2^-k at best, so 0.1 can stop after the
    first fold of a table with 60 positives in each, after the fourth of one with 15."""
    reestimate_seeds: tuple[int, ...] = Field(default=(1001,), min_length=1)
    """Of `shared`: seeds of the other fold assignments on which the winner is scored again."""
    spaces: dict[str, dict[str, SearchSpace]] = Field(default_factory=dict)
    """By member or learner, by parameter: `{low, high, log}` or `{choices}`; else as the learner's file says."""

    @field_validator("reestimate_seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return different_seeds(seeds)

    def search_space_of(self, member: MemberRecipe) -> dict[str, SearchSpace]:
        """The search space of a member, parameters under their one spelling."""
        learner = member.learner
        space = self.spaces.get(member.name) or self.spaces.get(member.booster) or learner.search_space
        found = {n if n == "iterations" else learner.canonical(n): s for n, s in space.items()}
        for name, values in found.items():
            require_space_within(name, values)
        return found


def _paper_members() -> tuple[MemberRecipe, ...]:
    return (
        MemberRecipe(name="lightgbm_metadata", booster="lightgbm", image_columns=False),
        MemberRecipe(name="lightgbm", booster="lightgbm"),
        MemberRecipe(name="catboost", booster="catboost"),
        MemberRecipe(name="xgboost", booster="xgboost"),
    )


class TabularRecipe(Strict):
    """Stage two after the features: an ensemble of members."""

    members: tuple[MemberRecipe, ...] = Field(default_factory=_paper_members)
    exclude: Literal["none", "biopsied_benign"] = "none"
    """Lesions left out of the rows that members train on, never out of those that are scored: benign ones that were
    biopsied or are indeterminate (by the diagnosis columns of ISIC 2024)."""
    resample: ResampleRecipe = ResampleRecipe()
    blend: BlendRecipe = BlendRecipe()
    calibrate: CalibrateRecipe = CalibrateRecipe()
    tune: TuneRecipe = TuneRecipe()
    image_noise: float = Field(default=0.0, ge=0.0, le=1000.0)
    """Noise on image columns of training rows, in standard deviations; a thousand leave nothing of them."""
    seeds: Literal["derived", "as_printed"] = "derived"
    """`as_printed` hands a member's own seed (42 in the paper) to its library in every fold; `derived` makes a seed of
    the run's, the member's name, the fold and the member's seed, so that members and folds draw independently."""
    nested: bool = False
    """Train on image columns made without the labels of the fold to be scored; docs/stacking.md has the difference."""

    @property
    def optimistic(self) -> str | None:
        """Why cross-validated scores are better than new lesions would say; None where nothing makes them so."""
        searched = self.tune.trials or any(member.by_fold for member in self.members)
        if not searched or self.tune.scope == "fold":
            return None
        return "optimistic: parameters were searched on the folds that score them (tabular.tune.scope = 'shared')"

    @model_validator(mode="after")
    def _names_fit_together(self) -> "TabularRecipe":
        names = [member.name for member in self.members]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"members: two entries are named {doubled[0]!r}; give each its own name")
        known = {*names, *LEARNERS}
        for key, wanted in (
            ("tune.members", set(self.tune.members) - set(names)),
            ("tune.spaces", set(self.tune.spaces) - known),
        ):
            if wanted:
                raise ValueError(f"{key}: no member is called {sorted(wanted)[0]!r}; there are {', '.join(names)}")
        for member in self.members:
            self.tune.search_space_of(member)
        return self
