"""The audit on the tiny cohort: quick forms of what `make audit` does at length."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from safetensors.numpy import load_file, save_file

from data.files import fingerprint
from data.readers.isic2024 import read
from data.schemas.isic2024 import FORBIDDEN
from pipeline.audit import audit as audit_module
from pipeline.audit.audit import Check
from pipeline.audit.compare import differing_files, said_differently
from pipeline.audit.independence import SCORED_FOLD, Trio, independence, untold_features
from pipeline.audit.own_patient import features_by_patient, predictions_by_patient
from pipeline.audit.perturb import other_answers, other_measurements
from pipeline.audit.scratch import Finished
from pipeline.audit.variants import null_recipe, relabelled_by, strict_recipe, thinned, without_test
from pipeline.display import Display
from pipeline.execute.local import LocalExecutor
from pipeline.inputs import Inputs
from pipeline.plan import plan_of
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime
from pipeline.steps import tuning
from research.planted import leaks
from research.planted.leaks import LEAKS, rewired
from research.planted.mutations import NOTHING, Verdict

QUICK = [
    leaks.resampling_before_the_split,
    leaks.imputer_on_all_rows,
    leaks.target_encoder_on_all_rows,
    leaks.a_patient_in_two_folds_unrefused,
    leaks.blend_weights_on_the_scored_rows,
    leaks.search_trained_on_what_scores_it,
    leaks.search_confirmed_where_it_was_made,
    leaks.search_that_sees_the_fold,
    leaks.search_scored_by_the_fold_alone,
]


def metadata_only(raw: dict[str, Any]) -> None:
    raw["image_models"] = []
    raw["tabular"]["members"] = raw["tabular"]["members"][:1]
    raw["features"] = {"families": ["published", "patient_z"]}


@pytest.fixture
def runtime(cohort_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Quiet surroundings on one thread."""
    monkeypatch.setattr(Runtime, "threads", 1)
    return Runtime(Display(Console(quiet=True)), LocalExecutor(), cohort_dir.parent, tmp_path)


@pytest.fixture
def inputs(variant: Any, cohort_dir: Path, tmp_path: Path, runtime: Runtime) -> Inputs:
    """Those of a metadata-only run of a few hundred lesions."""
    return Inputs(Run.of(load_recipe(str(variant(metadata_only))), tmp_path / "run", cohort_dir), runtime)


@pytest.fixture
def trio(inputs: Inputs, runtime: Runtime, tmp_path: Path) -> Callable[[str], Trio]:
    def make(name: str) -> Trio:
        data = without_test(thinned(inputs.data, 400, 0))
        return Trio(inputs, runtime, strict_recipe(inputs.run.recipe), data, tmp_path / name)

    return make


def test_nothing_is_found_in_the_pipeline_as_it_is(trio: Callable[[str], Trio]):
    assert independence(trio("clean")) == []


@pytest.mark.parametrize("plant", QUICK, ids=lambda plant: plant.__name__)
def test_a_planted_leak_is_found(trio: Callable[[str], Trio], plant: Callable[[], Any]):
    with plant():
        assert independence(trio("leaking"))


def test_a_search_for_a_fold_is_scored_on_its_other_folds_alone(trio: Callable[[str], Trio]):
    run = trio("searched").as_it_is.inputs
    table, folds = untold_features(run), run.folds
    for outer in range(folds.count):
        inner = [fold for fold in range(folds.count) if fold != outer]
        for fold, found in zip(inner, tuning.searched_folds(run, table, outer), strict=True):
            rows = np.flatnonzero((folds.fold != fold) & (folds.fold != outer))
            np.testing.assert_array_equal(found.train_target, run.data.train.target[rows])
            np.testing.assert_array_equal(found.held_out_target, run.data.train.target[folds.fold == fold])


def test_a_feature_that_looks_at_other_patients_without_saying_so_is_found(inputs: Inputs):
    recipe, test = inputs.run.recipe, inputs.data.test
    assert test is not None
    assert features_by_patient(recipe, test).undeclared == ()
    with leaks.a_rank_among_all_patients():
        assert features_by_patient(recipe, test).undeclared == ("age_approx_of_table",)


def test_a_feature_that_says_so_is_reported(inputs: Inputs, tiny_recipe: Path):
    changed = ["features.families=['published', 'image_logit', 'image_site_age_z']"]
    test = inputs.data.test
    assert test is not None
    found = features_by_patient(load_recipe(str(tiny_recipe), changed), test)
    assert found.declared == ("narrow_site_age_z", "wide_site_age_z")
    assert found.families == ("image_site_age_z",)
    assert found.undeclared == ()


def test_a_finished_run_predicts_each_patient_as_if_alone(finished_run: Path, runtime: Runtime):
    inputs = Inputs(Run.open(finished_run), runtime)
    test, plan = inputs.data.test, plan_of(inputs)
    assert test is not None
    assert predictions_by_patient(inputs, runtime, plan, test) == ()
    with leaks.a_rank_among_all_patients(), pytest.raises(Exception, match="differs from the one"):
        predictions_by_patient(inputs, runtime, plan, test)


def test_planting_puts_everything_back():
    for leak in LEAKS:
        before = snapshot()
        with leak.plant():
            assert snapshot() != before, leak.name
        assert snapshot() == before, leak.name


def snapshot() -> list[int]:
    """Identities of everything that leaks replace."""
    from data.folds import Folds
    from features.encode import Encoder
    from image_models.training import train
    from pipeline.steps.fold_model import FoldModel

    modules = [leaks.folds_step, leaks.folds_module, leaks.encode, leaks.arrange, leaks.feature_table, leaks.stage_two,
               leaks.oof_table, leaks.blend_step, leaks.tuning, leaks.blending, train, Folds, Encoder,
               FoldModel]  # fmt: skip
    return [id(value) for module in modules for _, value in sorted(vars(module).items())]


def test_an_exception_does_not_leave_a_leak_behind():
    holder = {"entry": 1}
    with pytest.raises(KeyError), rewired(holder, "entry", lambda old: old + 1):
        raise KeyError(holder["entry"])
    assert holder == {"entry": 1}


def test_other_answers_change_answers_alone_and_in_their_rows_alone(cohort_dir: Path):
    cohort = read(cohort_dir).train
    rows = np.arange(100, 200)
    changed = other_answers(cohort, rows, seed=0)
    assert changed.fingerprint != cohort.fingerprint
    others = np.setdiff1d(np.arange(len(cohort.ids)), rows)
    assert changed.table[others].equals(cohort.table[others])
    free = [name for name in cohort.table.columns if name not in FORBIDDEN]
    assert changed.table.select(free).equals(cohort.table.select(free))
    assert np.mean(changed.target[rows] != cohort.target[rows]) > 0.3
    known = [name for name in FORBIDDEN if cohort.table[name].n_unique() > 2]
    assert all(not changed.table[name][rows].equals(cohort.table[name][rows]) for name in known)


def test_other_measurements_change_every_published_column_of_their_rows(cohort_dir: Path):
    cohort = read(cohort_dir).train
    rows = np.arange(0, 600, 3)
    changed = other_measurements(cohort, rows)
    others = np.setdiff1d(np.arange(600), rows)
    assert changed.table[others].equals(cohort.table[others])
    for name in cohort.table.columns:
        same = changed.table[name][rows].equals(cohort.table[name][rows])
        assert same == (name in {*FORBIDDEN, "isic_id", "patient_id"}), name


def test_dealt_labels_take_the_diagnosis_with_them(cohort_dir: Path):
    data = read(cohort_dir)
    giver = np.random.default_rng(0).permutation(600)
    table, before = relabelled_by(data, giver).train.table, data.train.table
    for name in before.columns:
        wanted = before[name][giver] if name in FORBIDDEN else before[name]
        assert table[name].equals(wanted), name


def test_fewer_lesions_keep_the_positives_and_whole_test_patients(cohort_dir: Path):
    data = read(cohort_dir)
    small = thinned(data, 200, 0)
    assert len(small.train.ids) == 200
    assert small.train.target.sum() == data.train.target.sum()
    assert data.test is not None
    assert small.test is not None
    for patient in np.unique(small.test.groups):
        assert np.sum(small.test.groups == patient) == np.sum(data.test.groups == patient)
    assert len(small.test.ids) <= 100
    assert thinned(data, 600, 0).train is data.train


def test_both_recipes_search_and_the_null_one_stacks():
    recipe = load_recipe("demo")
    null, strict = null_recipe(recipe), strict_recipe(recipe)
    assert null.tabular.tune.trials
    assert null.tabular.blend.method == "stacker"
    assert [m.name for m in null.tabular.members] == [m.name for m in recipe.tabular.members]
    assert [m.name for m in null.image_models] == [m.name for m in recipe.image_models]
    assert strict.tabular.nested
    assert (strict.tabular.tune.trials, strict.tabular.tune.scope) == (2, "fold")
    assert strict.tabular.tune.members == ("lightgbm",)
    assert not strict_recipe(recipe, binary=False).tabular.tune.trials
    two_folds = recipe.model_copy(update={"folds": recipe.folds.model_copy(update={"count": 2})})
    assert null_recipe(two_folds).tabular.tune.scope == "shared"
    assert all(model.select == "best" for model in strict.image_models)
    assert strict.features.encodes_target


def test_a_changed_weight_a_changed_record_and_a_changed_value_are_seen(
    finished_run: Path, run_copy: Path, runtime: Runtime
):
    one, other = (run / "oof" / "narrow" / "fold_1" for run in (finished_run, run_copy))
    assert list(differing_files(one, other)) == []
    report = json.loads((other / "report.json").read_text())
    report["seconds"] = 99.0
    (other / "report.json").write_text(json.dumps(report))
    assert list(differing_files(one, other)) == []
    # A fit of the same weights that took another time has another checksum of its record.
    record = json.loads((other / "training.json").read_text())
    record["report"]["seconds"] += 1.0
    record["checksum"] = fingerprint(record["report"])
    (other / "training.json").write_text(json.dumps(record))
    assert list(differing_files(one, other)) == []
    report["training"]["steps"] += 1
    (other / "report.json").write_text(json.dumps(report))
    weights = load_file(other / "model.safetensors")
    first = next(name for name, values in weights.items() if values.dtype == np.float32)
    weights[first] = np.nextafter(weights[first], np.float32(1))
    save_file(weights, other / "model.safetensors")
    assert list(differing_files(one, other)) == ["weights in model.safetensors", "steps in report.json"]

    table = pl.read_parquet(run_copy / "oof" / "oof.parquet")
    rows = pl.col("fold") == SCORED_FOLD
    moved = table.with_columns(wide=pl.when(rows).then(pl.col("wide") * (1 - 1e-15)).otherwise("wide"))
    moved.write_parquet(run_copy / "oof" / "oof.parquet")
    opened = [Inputs(Run.open(run), runtime) for run in (finished_run, run_copy)]
    runs = [Finished(inputs, plan_of(inputs)) for inputs in opened]
    assert "wide: values of fold 1" in said_differently(*runs, SCORED_FOLD)
    assert "narrow: values of fold 1" not in said_differently(*runs, SCORED_FOLD)


def test_a_leak_that_nothing_notices_and_a_clean_pipeline_that_is_accused_are_wrong():
    assert not Verdict("a leak", null_p=0.5).right
    assert Verdict("a leak", null_p=0.005).caught_by == ("null test",)
    assert Verdict("a leak", contract="no").caught_by == ("contract",)
    assert Verdict("a leak", findings=("search: x", "search: y", "folds: z")).caught_by == ("search", "folds")
    assert Verdict(NOTHING, null_p=0.5).right
    assert not Verdict(NOTHING, findings=("folds: z",)).right


def test_the_command_prints_its_checks_and_keeps_them(cli: Any, variant: Any, cohort_dir: Path, tmp_path: Path):
    run = Run.of(load_recipe(str(variant(metadata_only))), tmp_path / "audited", cohort_dir)
    run.record()
    before = {path: path.read_bytes() for path in run.folder.iterdir()}
    answer = cli("audit", "--run", run.folder, "--draws", 1, "--no-mutations")
    assert answer.code == 0, answer
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in run.folder.iterdir()} == {path.name for path in before} | {"audit.json", ".lock"}
    kept = json.loads((run.folder / "audit.json").read_text())
    assert kept["passed"]
    assert {name: check["status"] for name, check in kept["checks"].items()} == {
        "independence": "passed", "own patient": "passed", "null test": "passed", "mutations": "not done",
        "copies": "passed", "two ids": "passed", "fold columns": "passed", "patient columns": "passed",
        "drift": kept["checks"]["drift"]["status"],
    }  # fmt: skip
    null = kept["checks"]["null test"]["facts"]
    assert {column["name"] for column in null["columns"]} == {"lightgbm_metadata", "blend"}
    assert "the audit passed" in answer.out


def test_a_failed_check_fails_the_command(cli: Any, run_copy: Path, monkeypatch: pytest.MonkeyPatch):
    def checks(self: object) -> Iterator[Check]:
        yield Check("folds", "failed", "a patient is in two")
        yield Check("drift", "look", "a column moved")

    monkeypatch.setattr(audit_module.Audit, "checks", checks)
    answer = cli("audit", "--run", run_copy)
    assert answer.code == 1
    assert "the audit failed: folds" in answer.out
    assert not json.loads((run_copy / "audit.json").read_text())["passed"]


def test_no_draw_is_refused(cli: Any, run_copy: Path):
    answer = cli("audit", "--run", run_copy, "--draws", 0)
    assert answer.code == 2
    assert "--draws 0" in answer.err
