"""What keys of a recipe do to one of its networks: trained both ways on the same repeated folds, and compared.

A way is a name and changes of the recipe, as `--set` takes them; the first is the one that others are compared with.
Differences are paired by fold and tested with the correction for training sets that overlap. Fold models that are
done are not trained again.

    python -m benchmarks.network_choices --recipe demo --model lesion_net --set image_models[lesion_net].cosine_steps=100
        --way hold 'image_models[lesion_net].after_cosine="hold"' --way cycle 'image_models[lesion_net].after_cosine="cycle"'
    python -m benchmarks.network_choices --recipe ham10000_frozen --model lite0_frozen --data HAM10000
        --way none 'data.clean=[]' --way hair 'data.clean=["hair"]' --way colour 'data.clean=["colour"]'
        [--scores auc accuracy] [--splits 3] [--folds 5] [--work FOLDER] [--json PATH]
"""  # noqa: E501

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from data.files import fingerprint, write_json
from data.folds import FoldRecipe, make_folds
from data.scores.repeated import corrected_test, fold_differences
from data.scores.scores import score_of
from image_models.predict import predict
from image_models.recipe import deciding_settings
from image_models.training.train import FoldTask, Places, train_fold
from pipeline.display import Display
from pipeline.execute.local import LocalExecutor
from pipeline.inputs import Inputs
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.seeds import derive
from pipeline.steps.lesions import training_lesions
from pipeline.steps.metadata import fit_metadata

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Way:
    """One form of the recipe, and the network that it names."""

    def __init__(self, given: argparse.Namespace, name: str, changes: Sequence[str], runtime: Runtime) -> None:
        recipe = load_recipe(given.recipe, [*given.set, *changes])
        self.folder, self.runtime = given.work / name, runtime
        inputs = Inputs(Run.of(recipe, self.folder, given.data), runtime)
        (self.model,) = (one for one in recipe.image_models if one.name == given.model)
        self.train, self.lesions = inputs.data.train, training_lesions(inputs)

    def fold_of(self, split: int, count: int) -> Ints:
        """The fold of every lesion."""
        return np.asarray(make_folds(self.train, FoldRecipe(count=count, seed=split)).fold)

    def out_of_fold(self, split: int, fold: Ints) -> Floats:
        """Probabilities of every lesion, each from the network that did not see it; NaN without an image."""
        found: list[tuple[Ints, Floats]] = []
        for k in np.unique(fold):
            folder = self.folder / f"split_{split}" / f"fold_{k}"
            folder.mkdir(parents=True, exist_ok=True)
            rows, held_out = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            lesions = fit_metadata(self.model, self.train, rows, folder, self.lesions)
            learned_from = fingerprint([deciding_settings(self.model), self.lesions.images_fingerprint, rows.tolist()])
            task = FoldTask(self.model, lesions, rows, derive(split, f"fold {k}"), learned_from)
            cache = self.runtime.cache_dir
            title = f"{self.folder.name}, split {split}, fold {k}"
            with self.runtime.display.task(f"{title}: training") as progress:
                trained = train_fold(task, Places(folder, self.runtime.weights_dir, cache), progress=progress)
            with self.runtime.display.task(f"{title}: predicting") as progress:
                said = predict(trained.network, self.model, lesions, held_out, cache_dir=cache, progress=progress)
            found.append((held_out, said))
        probability = np.concatenate([said for _, said in found])[np.argsort(np.concatenate([at for at, _ in found]))]
        return probability[:, 0] if probability.shape[1] == 1 else probability


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--way", action="append", nargs="+", required=True, metavar=("NAME", "KEY=VALUE"))
    parser.add_argument("--scores", nargs="+")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("runs/network_choices"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console = Console()
    runtime = Runtime(Display(console), LocalExecutor(), given.work / "cache", given.work / "weights")
    ways = {name: Way(given, name, changes, runtime) for name, *changes in given.way}
    first = next(iter(ways.values()))
    seen, target, groups = first.lesions.present, first.lesions.target, first.train.groups
    folds = [first.fold_of(split, given.folds) for split in range(given.splits)]
    said = {
        name: [way.out_of_fold(split, fold)[seen] for split, fold in enumerate(folds)] for name, way in ways.items()
    }
    reference = next(iter(said.values()))
    found: dict[str, dict[str, Any]] = {}
    for name, answers in said.items():
        found[name] = {}
        for score in given.scores or [first.train.task.score]:
            mean = float(np.mean([score_of(score, target[seen], one, groups[seen]) for one in answers]))
            differences = [
                difference
                for fold, ours, plain in zip(folds, answers, reference, strict=True)
                for difference in fold_differences(score, target[seen], groups[seen], fold[seen], ours, plain)
            ]
            test = corrected_test(differences, given.folds) if answers is not reference else None
            found[name][score] = {"mean": mean, "to_first": test and test.to_json()}
            gain = f", {test.mean:+.4f} ({test.low:+.4f} to {test.high:+.4f}), p {test.p:.3f}" if test else ""
            console.print(f"{name} {score} {mean:.4f}{gain}", highlight=False)
    if given.json is not None:
        write_json(given.json, found)


if __name__ == "__main__":
    main()
