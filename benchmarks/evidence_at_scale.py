"""The ten variants of inputs on a large invented cohort, tables alone: processor seconds by part, and peak memory.

    python -m benchmarks.evidence_at_scale                          401,059 lesions, five folds
    python -m benchmarks.evidence_at_scale --lesions 20000 --folder kept

There are no tiles: in place of two networks stand two columns made of the label and noise, written as the networks'
out-of-fold answers would be. All else is `fusionnetx tabular` and `fusionnetx evidence --inputs`, with the recipe
`fusionnetx` without its search.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from data.predictions import Predictions
from data.synthetic.isic2024.recipe import SyntheticRecipe
from image_models.keys.metadata import MetadataRecipe
from image_models.recipe import ImageModelRecipe
from pipeline.actions.opening import surroundings
from pipeline.audit.variants import without_test
from pipeline.evidence.run import run_evidence
from pipeline.inputs import Inputs
from pipeline.make import make
from pipeline.plan import plan_of
from pipeline.recipe import Recipe, load_recipe
from pipeline.run import Run
from pipeline.stage_two import PREDICTIONS
from pipeline.steps.fold_model import fold_model_of

TRAINING = {"lesions": 401_059, "patients": 1042, "malignant": 393}
TOLD = MetadataRecipe(columns=("age_approx",))
"""A network without images must be told something; no network is trained here."""
SIGNAL, MODELS = 1.5, ("tile_score_a", "tile_score_b")
"""How far the invented tile scores of malignant lesions lie above the others, in deviations of their noise."""


def recipe_for(lesions: int) -> Recipe:
    """Stage two of `fusionnetx` on so many lesions of a cohort with the published shares."""
    share = lesions / TRAINING["lesions"]
    counts = {name: max(40, round(count * share)) for name, count in TRAINING.items()}
    recipe = load_recipe("fusionnetx", ["tabular.tune.trials=0"])
    synthetic = SyntheticRecipe(
        **counts, test_lesions=200, test_patients=20, test_malignant=10, images=False, seed=recipe.seed
    )
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"synthetic": synthetic}),
            "image_models": tuple(
                ImageModelRecipe(name=name, backbone="none", pretrained="none", metadata=TOLD) for name in MODELS
            ),
        }
    )


def invent_tile_scores(inputs: Inputs) -> None:
    """Answer for every network about the lesions it would not have seen."""
    make_folds(inputs)
    train, folds = inputs.data.train, inputs.folds
    for step in plan_of(inputs).of("fold model"):
        rows = fold_model_of(step).held_out(folds)
        rng = np.random.default_rng(fold_model_of(step).seed)
        said = 1 / (1 + np.exp(4 - SIGNAL * train.target[rows] - rng.standard_normal(len(rows))))
        attempt = step.begin()
        Predictions(train.ids[rows], folds.fold[rows], said[:, None], train.task.probability_columns).write(
            step.folder / PREDICTIONS
        )
        attempt.finish([PREDICTIONS])


def make_folds(inputs: Inputs) -> None:
    """Only the folds."""
    step = plan_of(inputs).folds
    step.work.do(step, inputs, inputs.runtime)


@contextmanager
def counted(part: str) -> Iterator[None]:
    """Print the processor seconds of a part, and the most memory that the process has had by its end."""
    began, clock = time.process_time(), time.perf_counter()
    yield
    spent = time.process_time() - began, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{part}: {spent[0]:,.0f} processor s, {spent[1]:,.0f} s on the clock, peak {peak:,.0f} MiB", flush=True)


def measure(folder: Path, lesions: int) -> None:
    """All parts."""
    run = Run.of(recipe_for(lesions), folder / "run")
    run.record()
    read = Inputs(run, surroundings())
    with counted("cohort written and read"):
        # No network is there to be asked about test lesions.
        inputs = Inputs(run, read.runtime, given=without_test(read.data))
        print(f"{len(inputs.data.train.ids):,} lesions, {int(inputs.data.train.target.sum())} malignant", flush=True)
    with counted("invented tile scores"):
        invent_tile_scores(inputs)
    with counted("the run itself"):
        make(inputs, inputs.runtime, "tabular")
    with counted("nine more variants and the table"):
        run_evidence(inputs, inputs.runtime, ["inputs"])


def main() -> None:
    """Measure, in a folder that is kept or thrown away."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesions", type=int, default=TRAINING["lesions"])
    parser.add_argument("--folder", type=Path, help="keep the run here, and go on with what is there")
    chosen = parser.parse_args()
    if chosen.folder is not None:
        measure(chosen.folder, chosen.lesions)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), chosen.lesions)


if __name__ == "__main__":
    main()
