"""What cleaning pictures does to frozen vectors: one head per way to clean, on the same repeated folds.

Every picture goes once through a frozen network for each way (`data.clean`); a logistic regression on the vectors
(standardised on the training part) is scored out of fold by macro AUC and accuracy. Differences to no cleaning are
paired by fold and tested with the correction for training sets that overlap.

    python -m benchmarks.cleaning --data HAM10000 [--recipe ham10000_frozen] [--model lite0_frozen] [--side 128]
        [--splits 5] [--folds 5] [--work FOLDER] [--json PATH]
"""

import argparse
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from torch import nn
from torch.nn import functional

from data.files import write_json
from data.folds import FoldRecipe, make_folds
from data.images.cleaned import Step
from data.scores.repeated import corrected_test, fold_differences
from data.scores.scores import score_of
from image_models.frozen import kept_vectors
from image_models.networks.zoo import build
from image_models.setup import Setup
from pipeline.display import Display
from pipeline.execute.local import LocalExecutor
from pipeline.inputs import Inputs
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.steps.lesions import training_lesions

WAYS: dict[str, list[str]] = {"none": [], **{step: [step] for step in get_args(Step)}, "all": list(get_args(Step))}
SCORES = ("auc", "accuracy")
DECAY = 1e-2
"""Of the squared weights beside the mean loss; vectors are standardised."""


def out_of_fold(
    vectors: torch.Tensor, target: npt.NDArray[np.int64], fold: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Probabilities (rows, classes) of every row from a logistic regression on the other folds."""
    classes = int(target.max()) + 1
    probability = np.zeros((len(target), classes))
    label = torch.from_numpy(target)
    for k in np.unique(fold):
        train, test = torch.from_numpy(fold != k), torch.from_numpy(fold == k)
        mean, scale = vectors[train].mean(dim=0), vectors[train].std(dim=0) + 1e-6
        shown = (vectors[train] - mean) / scale
        head = nn.Linear(vectors.shape[1], classes)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        optimiser = torch.optim.LBFGS(head.parameters(), max_iter=60, line_search_fn="strong_wolfe")

        def loss(head: nn.Linear = head, shown: torch.Tensor = shown, own: torch.Tensor = label[train]) -> torch.Tensor:
            optimiser.zero_grad()  # noqa: B023 (called within the turn of the loop that defines it)
            value = functional.cross_entropy(head(shown), own) + DECAY * head.weight.square().sum() / 2
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimiser.step(loss)  # type: ignore[no-untyped-call]
        with torch.inference_mode():
            probability[test.numpy()] = torch.softmax(head((vectors[test] - mean) / scale), dim=1).double().numpy()
    return probability


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", default="ham10000_frozen")
    parser.add_argument("--model", default="lite0_frozen")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("runs/cleaning"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console = Console()
    runtime = Runtime(Display(console), LocalExecutor(), given.work / "cache", given.work / "weights")
    said: dict[str, list[npt.NDArray[np.float64]]] = {}
    found: dict[str, dict[str, Any]] = {}
    for way, steps in WAYS.items():
        changes = [f"data.clean={steps}".replace("'", '"'), f"image_models[{given.model}].image_size={given.side}",
                   f"data.image_size={given.side}"]  # fmt: skip
        inputs = Inputs(Run.of(load_recipe(given.recipe, changes), given.work / way, given.data), runtime)
        (model,) = (one for one in inputs.run.recipe.image_models if one.name == given.model)
        lesions, train = training_lesions(inputs), inputs.data.train
        setup = Setup(torch.device("cpu"), "fp32")
        network = build(model, lesions.classes, weights_dir=runtime.weights_dir)
        rows = np.flatnonzero(lesions.present)
        vectors = kept_vectors(network, model, lesions, rows, setup, cache_dir=runtime.cache_dir).images
        target, groups, folds = train.target[rows], train.groups[rows], []
        said[way] = []
        for split in range(given.splits):
            folds.append(make_folds(train, FoldRecipe(count=given.folds, seed=split)).fold[rows])
            said[way].append(out_of_fold(vectors, target, folds[-1]))
        found[way] = {}
        for score in SCORES:
            mean = float(np.mean([score_of(score, target, one, groups) for one in said[way]]))
            differences = [
                difference
                for fold, ours, plain in zip(folds, said[way], said["none"], strict=True)
                for difference in fold_differences(score, target, groups, fold, ours, plain)
            ]
            test = None if way == "none" else corrected_test(differences, given.folds)
            found[way][score] = {"mean": mean, "to_none": test and test.to_json()}
            gain = f", {test.mean:+.4f} ({test.low:+.4f} to {test.high:+.4f}), p {test.p:.3f}" if test else ""
            console.print(f"{way} {score} {mean:.4f}{gain}", highlight=False)
    if given.json is not None:
        write_json(given.json, found)


if __name__ == "__main__":
    main()
