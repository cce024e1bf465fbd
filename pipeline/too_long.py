"""Work that this machine ends in no year, by the recipe's own counts: refused before it begins.

Counted is only what must be done, at speeds above those of any device that was measured. So what is refused is absurd,
and what is not refused may still be long (`fusionnetx check` estimates that).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from data.errors import RecipeError
from image_models.recipe import ImageModelRecipe
from pipeline.facts import finished_fold_count
from pipeline.inputs import Inputs
from pipeline.runtime import Runtime
from pipeline.step import Step
from pipeline.steps.booster import FitBooster
from pipeline.steps.fold_model import FoldModel
from pipeline.steps.tuning import SearchParameters
from tabular.recipe import MemberRecipe, TabularRecipe

YEAR_SECONDS = 365 * 24 * 3600
CORE_PIXELS, GPU_PIXELS = 1e7, 1e9
"""Trained on in a second: 2,400 images of 64 px on a core, 20,000 of 224 px on a GPU."""
CORE_ROWS, GPU_ROWS = 1e8, 1e10
"""Rows that a booster's round, or a head on finished vectors, learns from in a second."""
CLUSTER_CORES = 10_000
"""Nobody knows before how many cores a cluster will have."""


@dataclass(frozen=True)
class Cohort:
    """What counts depend on."""

    rows: int
    positives: int
    classes: int
    folds: int


@dataclass(frozen=True)
class Load:
    """The least that some steps of one kind must do."""

    what: str
    keys: str
    """The keys that make it so, with their values."""
    pixels: float = 0.0
    rows: float = 0.0

    def seconds(self, cores: float, gpus: float) -> float:
        """With all devices at work, none of them idle."""
        return self.pixels / (cores * CORE_PIXELS + gpus * GPU_PIXELS) + self.rows / (
            cores * CORE_ROWS + gpus * GPU_ROWS
        )


def refuse_years(steps: Iterable[Step], inputs: Inputs, runtime: Runtime, times: int = 1, why: str = "") -> None:
    """RecipeError when `steps`, done so many `times`, take more than a year whatever happens."""
    cohort = cohort_of(inputs)
    least = least_work(steps, inputs.run.recipe.tabular, cohort)
    loads = [replace(load, pixels=times * load.pixels, rows=times * load.rows) for load in least]
    if sum(load.seconds(1, 0) for load in loads) < YEAR_SECONDS:
        return  # A cluster is not joined to hear that it is enough.
    cores = CLUSTER_CORES if runtime.executor.spreads else runtime.threads
    gpus = runtime.executor.gpus(runtime)
    years = sum(load.seconds(cores, gpus) for load in loads) / YEAR_SECONDS
    if years < 1:
        return
    worst = max(loads, key=lambda load: load.seconds(cores, gpus))
    raise RecipeError(
        f"this work takes {years:,.0f} years at the very least, most of it for {worst.what}: lower {worst.keys}{why}; "
        "what takes more than a year is not begun"
    )


def cohort_of(inputs: Inputs) -> Cohort:
    """Of the run's training lesions."""
    train = inputs.data.train
    positives = int((train.target == 1).sum())
    return Cohort(len(train.ids), positives, len(train.task.classes), finished_fold_count(inputs.run))


def least_work(steps: Iterable[Step], tabular: TabularRecipe, cohort: Cohort) -> list[Load]:
    """By image model, member and search, summed over folds and seeds."""
    found: dict[str, Load] = {}
    for step in steps:
        load = load_of(step, tabular, cohort)
        if load is not None:
            before = found.get(load.what, replace(load, pixels=0.0, rows=0.0))
            found[load.what] = replace(load, pixels=before.pixels + load.pixels, rows=before.rows + load.rows)
    return list(found.values())


def load_of(step: Step, tabular: TabularRecipe, cohort: Cohort) -> Load | None:
    """The least that a step must do; None for those that take minutes at most."""
    work = step.work
    if isinstance(work, FoldModel):
        return image_load(work.model, cohort, 1 - len(work.left_out) / cohort.folds)
    if isinstance(work, FitBooster):
        return booster_load(work.member, tabular, cohort)
    if isinstance(work, SearchParameters):
        return search_load(work.member, tabular, cohort, work.fold)
    return None


def images_shown(model: ImageModelRecipe, cohort: Cohort, share: float) -> float:
    """Images, repeats included, of a fit on a `share` of the lesions."""
    shown = share * cohort.rows
    if model.sampling == "ratio" and cohort.classes == 2 and model.negatives_per_positive:
        shown = share * cohort.positives * model.positive_repeats * (1 + model.negatives_per_positive)
    shown *= 1 - model.inner_share if model.select == "best" else 1
    # What may end sooner is counted as if it did.
    return shown * min(model.epochs, model.stop_after or model.epochs)


def image_load(model: ImageModelRecipe, cohort: Cohort, share: float) -> Load:
    """A fit on a `share` of the lesions."""
    pixels = sum(min(part.image_size, model.small_size or part.image_size) ** 2 for part in model.image_branches())
    named = ("epochs", "image_size", "positive_repeats", "negatives_per_positive", "sampling")
    keys = ", ".join(f"{key} (now {getattr(model, key)})" for key in named)
    learns_from = images_shown(model, cohort, share)
    if model.trains_on_vectors:
        return Load(f"image model {model.name}", keys, rows=learns_from)
    return Load(f"image model {model.name}", keys, pixels=learns_from * pixels)


def rows_of_fit(tabular: TabularRecipe, rows: float, positives: float) -> float:
    """Rows that one booster learns from, all its bags together, by the ratios of the recipe."""
    resample = tabular.resample
    if resample.method in ("none", "class_weights"):
        return rows
    return min(rows, positives / resample.under_ratio) * (resample.bags if resample.method == "under_bags" else 1)


def rounds_of_fit(member: MemberRecipe, most: int = 0) -> int:
    """Rounds that a member trains for sure; a solver's steps end when they like."""
    if not member.learner.stops_early:
        return 1
    return min(member.iterations, member.early_stopping or member.iterations, most or member.iterations)


def booster_load(member: MemberRecipe, tabular: TabularRecipe, cohort: Cohort) -> Load:
    """A member on one fold with one seed."""
    share = 1 - 1 / cohort.folds
    rows = rows_of_fit(tabular, share * cohort.rows, share * cohort.positives)
    keys = f"its iterations (now {member.iterations}) and seeds (now {len(member.seeds)})"
    if tabular.resample.method == "under_bags":
        keys += f" and tabular.resample.bags (now {tabular.resample.bags})"
    return Load(f"member {member.name}", keys, rows=rows * rounds_of_fit(member))


def search_load(member: MemberRecipe, tabular: TabularRecipe, cohort: Cohort, fold: int | None) -> Load:
    """The trials of one search; one that may be stopped is counted as stopped after its first fold."""
    tune, drawn = tabular.tune, tabular.tune.search_space_of(member).get("iterations")
    scored = cohort.folds if fold is None else cohort.folds - 1
    seen = 1 - 1 / cohort.folds if fold is None else 1 - 2 / cohort.folds
    folds = 1 if tune.prune_p else min(scored, tune.inner_folds or scored)
    rounds = rounds_of_fit(member, tune.rounds)
    if drawn is not None and member.learner.stops_early:
        rounds = min(rounds, int(min((*drawn.choices, drawn.low) if drawn.low is not None else drawn.choices)))
    rows = rows_of_fit(tabular, seen * cohort.rows, seen * cohort.positives)
    keys = f"tabular.tune.trials (now {tune.trials:,}) or tabular.tune.rounds (now {tune.rounds:,})"
    return Load(f"the search of {member.name}", keys, rows=tune.trials * folds * rounds * rows)
