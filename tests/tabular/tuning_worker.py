"""One of several processes that search a study together: `python tuning_worker.py URL TRIALS`.

Every trial waits a moment per fold, so that the test can kill a worker within one.
"""

import sys
import time
from collections.abc import Iterator

import numpy as np

from data.matrix import Matrix
from tabular.learners.search_space import SearchSpace
from tabular.recipe import MemberRecipe, ResampleRecipe, TabularRecipe, TuneRecipe
from tabular.tuning import study, trial_claims
from tabular.tuning.binned_folds import FoldData
from tabular.tuning.search import tune

SEED = 3
FOLDS = 3
FOLD_SECONDS = 0.25
MEMBER = MemberRecipe(
    name="m", booster="lightgbm", device="cpu", iterations=15, parameters={"min_data_in_leaf": 10}, image_columns=False
)
SPACE = {"iterations": SearchSpace(low=5, high=30), "learning_rate": SearchSpace(low=0.02, high=0.5, log=True)}


def recipe_of(trials: int) -> TabularRecipe:
    plan = TuneRecipe(trials=trials, workers=2, startup_trials=4, prune_p=0, spaces={"m": SPACE})
    return TabularRecipe(members=(MEMBER,), resample=ResampleRecipe(over_ratio=0.2, under_ratio=0.5), tune=plan)


def folds() -> Iterator[FoldData]:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(600, 3)).astype(np.float32)
    target = (values[:, 0] + 0.7 * rng.normal(size=600) > 1.3).astype(np.int64)
    patients = rng.integers(0, 60, 600)
    for fold in range(FOLDS):
        train, held_out = np.flatnonzero(patients % FOLDS != fold), np.flatnonzero(patients % FOLDS == fold)
        names = ("size", "age", "border")
        matrices = [Matrix(values[rows], names, names, (), ()) for rows in (train, held_out)]
        yield FoldData(matrices[0], target[train], patients[train], matrices[1], target[held_out])


def main(url: str, trials: int) -> None:
    study.HEARTBEAT_SECONDS, study.GRACE_SECONDS, trial_claims.LOOK_SECONDS = 1, 3, 0.2

    def wait(done: int, total: int, **figures: object) -> None:
        if "fold" in figures:
            time.sleep(FOLD_SECONDS)

    tune(MEMBER, recipe_of(trials), folds(), storage=url, study_name="shared", seed=SEED, progress=wait)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
