"""The report of a task of several classes, on a small HAM10000 folder run through both stages' files."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix, f1_score, recall_score, roc_auc_score

from pipeline.actions.opening import existing_run, surroundings
from pipeline.inputs import Inputs
from pipeline.report import classes, importance
from pipeline.report.finished import FinishedRun, open_finished
from pipeline.report.groups import Judged, right_calls
from pipeline.report.loaded import for_class
from pipeline.report.patients import class_figures_by_group
from tests.pipeline.test_report import Reader, resolve

RECIPE = """
description = "Seven classes on age, sex and site"
seed = 5
[data]
reader = "ham10000"
image_size = 16
[folds]
count = 3
seed = 1
[features]
families = ["published"]
extra_columns = ["age", "sex", "localization"]
[[tabular.members]]
name = "trees"
booster = "lightgbm"
iterations = 8
parameters = { min_data_in_leaf = 5 }
[[tabular.members]]
name = "cats"
booster = "catboost"
iterations = 8
[tabular.resample]
method = "none"
"""
SHARES = {"nv": 0.4, "mel": 0.2, "bkl": 0.15, "bcc": 0.1, "akiec": 0.06, "vasc": 0.06, "df": 0.03}


@pytest.fixture(scope="session")
def seven_classes(once: Any, cohort_dir: Path) -> Path:
    """A run of seven classes with its report: `ham/` is the data, `run/` the run folder."""
    from tests.conftest import run_in_process

    def make(folder: Path) -> None:
        rng = np.random.default_rng(3)
        data = folder / "ham"
        data.mkdir()
        of_lesion: dict[str, Any] = {}
        lines = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
        for i in range(300):
            lesion = f"HAM_{i // 2 if i % 6 == 0 else i}"
            dx = of_lesion.setdefault(lesion, rng.choice(list(SHARES), p=list(SHARES.values())))
            age = 5 * round((30 + 5 * list(SHARES).index(dx) + rng.normal(0, 12)) / 5)
            place = rng.choice(["back", "face", "scalp"], p=[0.7, 0.2, 0.1] if dx == "nv" else [0.2, 0.4, 0.4])
            lines.append(f"{lesion},ISIC_{i},{dx},histo,{min(max(age, 0), 85)},male,{place}")
            encoded = io.BytesIO()
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8).astype(np.uint8)).save(encoded, "JPEG")
            (data / f"ISIC_{i}.jpg").write_bytes(encoded.getvalue())
        (data / "HAM10000_metadata.csv").write_text("\n".join(lines) + "\n")
        (folder / "seven.toml").write_text(RECIPE)
        run = ["--run", str(folder / "run"), "--data", str(data)]
        for options in (["tabular", "--recipe", str(folder / "seven.toml")], ["report"]):
            answer = run_in_process([*options, *run], cache=folder / "cache")
            assert answer.code == 0, answer

    return once("seven", make)


@pytest.fixture(scope="module")
def run(seven_classes: Path) -> FinishedRun:
    runtime = surroundings()
    return open_finished(Inputs(existing_run(str(seven_classes / "run"), seven_classes / "ham"), runtime), runtime)


@pytest.fixture(scope="module")
def metrics(seven_classes: Path) -> dict[str, Any]:
    return json.loads((seven_classes / "run" / "metrics.json").read_text())


def test_the_page_is_whole_and_about_classes(seven_classes: Path, metrics: dict[str, Any]) -> None:
    text = (seven_classes / "run" / "report.html").read_text()
    reader = Reader(text)
    assert len(reader.figures) > 250
    for pointer, spec, shown in reader.figures:
        value = resolve(metrics, pointer)
        assert shown == ("–" if value is None else format(value, spec)), pointer
    assert "Most confidently wrong" in text
    assert "Confusion matrix" in text
    assert not any(word in text for word in (">None", ">nan", "Undefined"))


def test_figures_of_classes_agree_with_scikit_learn(run: FinishedRun, metrics: dict[str, Any]) -> None:
    found = metrics["report"]["classes"]
    called = run.blend.argmax(axis=1)
    assert found["confusion"] == confusion_matrix(run.target, called, labels=range(7)).tolist()
    assert found["accuracy"]["estimate"] == pytest.approx((called == run.target).mean())
    assert found["balanced_accuracy"]["estimate"] == pytest.approx(recall_score(run.target, called, average="macro"))
    scored = [one for one in found["classes"] if not one["too_few"]]
    assert len(scored) >= 5
    for code, one in enumerate(found["classes"]):
        if one["too_few"]:
            assert one["auc"] is None
            continue
        assert one["auc"]["estimate"] == pytest.approx(roc_auc_score(run.target == code, run.blend[:, code]))
        assert one["recall"]["estimate"] == pytest.approx((called[run.target == code] == code).mean())
        assert one["recall"]["low"] <= one["recall"]["estimate"] <= one["recall"]["high"]


def test_the_classes_in_two_groups_agree_with_scikit_learn(run: FinishedRun, metrics: dict[str, Any]) -> None:
    found = metrics["report"]["classes"]["malignant"]
    cancer = [1, 3, 4]
    target, said = np.isin(run.target, cancer), run.blend[:, cancer].sum(axis=1)
    assert found["classes"] == ["mel", "bcc", "akiec"]
    assert found["lesions"] == target.sum()
    assert found["auc"]["estimate"] == pytest.approx(roc_auc_score(target, said))
    assert found["sensitivity"]["estimate"] == pytest.approx((said[target] >= 0.5).mean())
    assert found["specificity"]["estimate"] == pytest.approx((said[~target] < 0.5).mean())


def test_every_way_to_call_is_scored_and_the_runs_own_is_marked(run: FinishedRun, metrics: dict[str, Any]) -> None:
    found = metrics["report"]["classes"]
    rows = {row["way"]: row for row in found["calls"]}
    assert [way for way, row in rows.items() if row["chosen"]] == ["likeliest"]
    assert rows["likeliest"]["accuracy"] == found["accuracy"]
    assert rows["balanced_accuracy"]["balanced_accuracy"]["estimate"] > found["balanced_accuracy"]["estimate"]


def test_images_of_one_lesion_are_judged_together(run: FinishedRun, metrics: dict[str, Any]) -> None:
    together = metrics["report"]["classes"]["together"]
    frame = pd.DataFrame(run.blend).assign(lesion=run.groups, answer=run.target)
    by_lesion = {"mean": frame.groupby("lesion").mean(), "highest of each class": frame.groupby("lesion").max()}
    assert together["groups"] == frame["lesion"].nunique() < len(frame)
    rows = {row["way"]: row for row in together["rows"]}
    assert rows["each by itself"]["accuracy"] == pytest.approx((run.blend.argmax(axis=1) == run.target).mean())
    for way, of_lesion in by_lesion.items():
        answer, said = of_lesion.pop("answer").astype(int), of_lesion.to_numpy()
        said = said / said.sum(axis=1, keepdims=True)
        assert rows[way]["balanced_accuracy"] == pytest.approx(recall_score(answer, said.argmax(1), average="macro"))
        assert rows[way]["macro_f1"] == pytest.approx(f1_score(answer, said.argmax(1), average="macro"))
        assert rows[way]["auc"] == pytest.approx(roc_auc_score(answer, said, multi_class="ovr"))


def test_a_group_of_several_answers_is_not_judged_as_one() -> None:
    said = np.full((3, 3), 1 / 3)
    assert class_figures_by_group(np.array([0, 1, 2]), said, np.array(["a", "a", "b"])) is None
    assert class_figures_by_group(np.array([0, 1, 2]), said, np.array(["a", "b", "c"])) is None


def test_a_class_of_a_few_lesions_gets_its_counts_alone() -> None:
    truth = np.arange(100) < 9
    one = classes.one_class(truth, np.linspace(1, 0, 100), truth, np.arange(100), 0)
    assert one == {
        "lesions": 9, "called": 9, "right": 9, "too_few": True,
        "auc": None, "average_precision": None, "recall": None, "precision": None, "roc": None,
    }  # fmt: skip


def test_the_gallery_holds_the_surest_mistakes(run: FinishedRun, metrics: dict[str, Any]) -> None:
    shown = metrics["report"]["gallery"]["confidently_wrong"]
    surest = run.blend.max(axis=1)
    wrong = run.blend.argmax(axis=1) != run.target
    assert [one["probability"] for one in shown] == pytest.approx(sorted(surest[wrong], reverse=True)[: len(shown)])
    for one in shown:
        assert one["truth"] != one["called"]
        row = run.ids.tolist().index(one["lesion"])
        assert run.task.classes[run.target[row]] == one["truth"]
        assert one["said"]["trees"] == run.member_columns["trees"][row, run.task.classes.index(one["called"])]


def test_groups_add_up(run: FinishedRun, metrics: dict[str, Any]) -> None:
    divisions = {one["name"]: one["groups"] for one in metrics["report"]["class_groups"]["divisions"]}
    assert {"fold", "site", "age", "sex"} <= set(divisions)
    for groups in divisions.values():
        assert sum(one["lesions"] for one in groups) == len(run.target)
    few = right_calls(Judged.of(run), "few", np.arange(8))
    assert few["too_few"]
    assert few["accuracy"] is None


def test_agreement_is_a_share_of_calls(run: FinishedRun, metrics: dict[str, Any]) -> None:
    found = metrics["report"]["agreement"]
    assert found["columns"] == ["trees", "cats", "blend"]
    calls = [column.argmax(axis=1) for column in (*run.member_columns.values(), run.blend)]
    assert found["same_call"][0][1] == pytest.approx((calls[0] == calls[1]).mean())
    assert [found["same_call"][i][i] for i in range(3)] == [1.0] * 3
    assert found["right"][2] == pytest.approx((calls[2] == run.target).mean())


def test_contributions_point_to_the_called_class(metrics: dict[str, Any]) -> None:
    logits = np.zeros((2, 3, 5))
    logits[0, 1] = [1, 2, 3, 4, 5]
    logits[1, 2, 0] = 3.0
    found = for_class(logits, np.array([1, 0]))
    np.testing.assert_allclose(found[0], np.array([1, 2, 3, 4, 5]) * 2 / 3)
    np.testing.assert_allclose(found[1], [-1.0, 0, 0, 0, 0])
    with pytest.raises(ValueError, match="towards which"):
        for_class(logits, None)
    boosters = metrics["report"]["boosters"]
    assert boosters["largest_difference_to_stored_predictions"] < 1e-6
    assert {row["family"] for row in boosters["families"]} == {"published"}
    assert boosters["attributed"]["positives"] is None
    assert importance.MANY_CLASS_REPLICATES < importance.REPLICATES


def test_leaving_a_member_out_is_scored_on_all_classes(metrics: dict[str, Any]) -> None:
    rows = metrics["report"]["leave_one_out"]
    assert [row["member"] for row in rows] == ["trees", "cats"]
    whole = metrics["cross_validated"]["members"]
    assert rows[0]["score_without"] == pytest.approx(whole["cats"]["auc"]["estimate"])


def test_a_command_on_this_run_needs_its_data(seven_classes: Path, cli: Callable[..., Any]) -> None:
    answer = cli("report", "--recipe", seven_classes / "seven.toml", "--run", seven_classes / "run")
    assert answer.code == 2
