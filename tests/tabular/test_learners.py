"""The registry of learners: found where they are, no library loaded, and one from outside in one object or one file."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tabular.learners
from data.errors import DataError, RecipeError, TrainingError
from data.files import write_json
from data.registry import Registry
from data.scores.scores import auc
from tabular.blend import blend
from tabular.crossfit import fit_member, predict_member
from tabular.learners.adapting import usable_device
from tabular.learners.learner import Defaults, Learner, Model, Rows, Settings
from tabular.learners.registry import LEARNERS
from tabular.learners.search_space import SearchSpace
from tabular.recipe import BlendRecipe, MemberRecipe, ResampleRecipe, TabularRecipe, TuneRecipe
from tabular.tuning.search import tune

LIBRARIES = ("lightgbm", "xgboost", "catboost", "sklearn")


class Ridge(Model):
    """A logistic regression of numbers alone."""

    def __init__(self, centre: list[float], scale: list[float], weights: list[list[float]], bias: list[float]) -> None:
        self.parts = {"centre": centre, "scale": scale, "weights": weights, "bias": bias}

    def predict(self, values, threads=1):
        standard = inputs(values, np.array(self.parts["centre"]), np.array(self.parts["scale"]))
        margin = standard @ np.array(self.parts["weights"]).T + np.array(self.parts["bias"])
        if margin.shape[1] == 1:
            return 1.0 / (1.0 + np.exp(-margin[:, 0]))
        odds = np.exp(margin - margin.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def save(self, path: Path) -> None:
        write_json(path, self.parts)


def inputs(values, centre, scale):
    return (np.where(np.isnan(values), centre, values) - centre) / scale


def fit_ridge(training: Rows, settings: Settings) -> Ridge:
    from sklearn.linear_model import LogisticRegression

    centre, scale = np.nanmedian(training.values, axis=0), np.nanstd(training.values, axis=0) + 1e-9
    solver = LogisticRegression(C=float(settings.parameters["strength"]), max_iter=settings.iterations)
    solver.fit(inputs(training.values, centre, scale), training.target, sample_weight=training.weight)
    return Ridge(centre.tolist(), scale.tolist(), solver.coef_.tolist(), solver.intercept_.tolist())


def load_ridge(path: Path, columns: int, classes: int) -> Ridge:
    try:
        model = Ridge(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} is not a ridge model; train the member again") from error
    if len(model.parts["centre"]) != columns:
        raise DataError(f"{path} is a model of other columns; train the member again")
    return model


RIDGE = Learner(
    name="ridge",
    suffix=".json",
    defaults=Defaults(iterations=500, device="cpu", parameters={"strength": 0.5}),
    known=frozenset({"strength"}),
    aliases={"C": "strength"},
    search_space={"strength": SearchSpace(low=0.01, high=10.0, log=True)},
    cost=0.1,
    fit=fit_ridge,
    load=load_ridge,
)


@pytest.fixture
def ridge() -> Iterator[str]:
    LEARNERS.add(RIDGE)
    yield RIDGE.name
    LEARNERS.remove(RIDGE.name)


def through_everything(learner: Learner, table, folds_of, tmp_path: Path) -> None:
    """A member of the learner beside a booster: recipe, fit, files, prediction, several classes, blend, search."""
    members = (
        MemberRecipe(name="plain", booster=learner.name, native_categories=False),
        MemberRecipe(name="trees", booster="lightgbm", iterations=20, parameters={"min_data_in_leaf": 10}),
    )
    resample = ResampleRecipe(over_ratio=0.15, under_ratio=0.3)
    recipe = TabularRecipe(members=members, resample=resample, tune=TuneRecipe(trials=3, members=("plain",)))
    assert TabularRecipe.model_validate_json(recipe.model_dump_json()) == recipe
    target, rows, held_out = table.target, table.train_rows, table.held_out_rows
    columns = {}
    for member in members:
        folder = tmp_path / member.name
        fit = fit_member(member, recipe, table.matrix, target, table.groups, rows, seed=1, folder=folder)
        columns[member.name] = predict_member(member, folder, table.matrix, held_out)
        assert auc(target[held_out], columns[member.name]) > 0.8
        assert bool(fit.importance) == (member.name == "trees")
        assert (fit.models[0]["trees"] is None) == (member.name == "plain")
        json.dumps(fit.as_dict(), allow_nan=False)
    again = tmp_path / "again"
    first = fit_member(members[0], recipe, table.matrix, target, table.groups, rows, seed=1, folder=again)
    assert (again / first.artefacts[0]).read_bytes() == (tmp_path / "plain" / first.artefacts[0]).read_bytes()

    halves = np.arange(len(held_out)) % 2
    for method in ("mean", "rank_mean", "weighted", "stacker"):
        blended = blend(columns, BlendRecipe(method=method), target=target[held_out], folds=halves)
        assert auc(target[held_out], blended.out_of_fold) > 0.8

    three = target + (table.matrix.values[:, 0] > 0.5)
    weighted = TabularRecipe(members=members, resample=ResampleRecipe(method="class_weights"))
    fit_member(members[0], weighted, table.matrix, three, table.groups, rows, seed=1, folder=tmp_path / "three")
    assert predict_member(members[0], tmp_path / "three", table.matrix, held_out).shape == (len(held_out), 3)

    found = tune(members[0], recipe, folds_of(0), storage=tmp_path / "s.journal", study_name="m", seed=3,
                 other_folds=folds_of(9))  # fmt: skip
    assert found.table.height == 3
    assert found.best_parameters.keys() == learner.search_space.keys()
    assert found.reestimate is not None


def test_a_learner_is_added_in_one_object(ridge: str, table, folds_of, tmp_path: Path) -> None:
    through_everything(RIDGE, table, folds_of, tmp_path)
    member = MemberRecipe(name="a", booster=ridge, parameters={"C": 3.0})
    assert member.parameters == {"strength": 3.0}
    assert member.learner.cost < LEARNERS["xgboost"].cost
    with pytest.raises(RecipeError, match="already a learner called 'ridge'"):
        LEARNERS.add(RIDGE)


def test_a_learner_of_ones_own_is_known_only_while_it_is_there() -> None:
    with pytest.raises(ValueError, match=r"Input should be 'catboost', 'lightgbm', 'logistic' or 'xgboost'"):
        MemberRecipe(name="a", booster="ridge")


def test_a_learner_is_added_in_one_file(table, folds_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "cautious.py").write_text(
        "from dataclasses import replace\n"
        "from tabular.learners.learner import Defaults\n"
        "from tabular.learners.logistic import LEARNER as plain\n"
        "LEARNER = replace(plain, name='cautious', defaults=Defaults(50, 'cpu', {'C': 0.01}))\n"
    )
    monkeypatch.setattr(tabular.learners, "__path__", [*tabular.learners.__path__, str(folder)])
    fresh: Registry[Learner] = Registry("tabular.learners", "LEARNER", "learner")
    assert list(fresh) == ["catboost", "cautious", "lightgbm", "logistic", "xgboost"]
    assert "cautious" not in LEARNERS
    monkeypatch.setattr("tabular.recipe.LEARNERS", fresh)
    through_everything(fresh["cautious"], table, folds_of, tmp_path)
    monkeypatch.delitem(sys.modules, "tabular.learners.cautious")


def test_the_registry_and_a_recipe_load_no_library() -> None:
    program = (
        "import sys\n"
        "from tabular.learners.registry import LEARNERS\n"
        "from tabular.recipe import TabularRecipe\n"
        "LEARNERS['catboost'], list(LEARNERS.values()), TabularRecipe()\n"
        f"print([name for name in {LIBRARIES!r} if name in sys.modules])\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", LEARNERS)
def test_what_a_learner_declares_is_so(name: str, table, tmp_path: Path) -> None:
    learner = LEARNERS[name]
    settings = Settings(learner.defaults.parameters, min(learner.defaults.iterations, 10))
    rows = Rows(table.matrix.values, table.target, table.matrix.names, table.matrix.categorical)
    binned = learner.binned(rows, rows, settings)
    model = learner.trained(binned, settings, 3)
    assert (binned[1] is not None) == learner.stops_early
    assert (model.trees is not None) == learner.stops_early
    assert (model.contributions(rows.values[:5]) is not None) == learner.explains
    assert learner.binning <= learner.known
    model.save(tmp_path / f"model{learner.suffix}")
    loaded = learner.load(tmp_path / f"model{learner.suffix}", 7, 2)
    np.testing.assert_array_equal(loaded.predict(rows.values), model.predict(rows.values))
    with pytest.raises(DataError):
        learner.load(tmp_path / f"model{learner.suffix}", 8, 2)


def test_the_slowest_start_first() -> None:
    by_cost = sorted(LEARNERS.values(), key=lambda learner: -learner.cost)
    assert [learner.name for learner in by_cost] == ["catboost", "lightgbm", "xgboost", "logistic"]


def test_a_learner_without_a_use_for_a_gpu_says_so() -> None:
    assert usable_device(LEARNERS["logistic"], "auto") == ("cpu", None)
    with pytest.raises(TrainingError, match="logistic trains on the CPU alone; set device"):
        usable_device(LEARNERS["logistic"], "gpu")
    assert usable_device(LEARNERS["lightgbm"], "gpu") == ("gpu", None)


def test_one_that_cannot_stop_early_trains_on_what_it_is_given(table) -> None:
    learner = replace(LEARNERS["lightgbm"], fit_watched=None, bin_watched=None)
    rows = Rows(table.matrix.values, table.target, table.matrix.names, table.matrix.categorical)
    settings = Settings({"min_data_in_leaf": 10}, 8)
    assert learner.trained(learner.binned(rows, rows, settings), settings, 1).trees == 8
