"""Which inner score chooses the epoch, and what an inner split may hold."""

import numpy as np
import pytest

from data.errors import RecipeError, TrainingError
from image_models.recipe import MetadataRecipe
from image_models.training.inner_score import OF_MORE, OF_TWO, checked_score, inner_score
from image_models.training.plan import describe_plan, plan_training
from image_models.training.train import FoldTask, Places, train_fold

pytestmark = pytest.mark.usefixtures("single_threaded")

ROWS, INNER = np.arange(40), np.arange(40, 60)


def test_each_score_by_hand_of_two_classes():
    target, probability = np.array([1, 0, 1, 0]), np.array([[0.9], [0.8], [0.7], [0.1]])
    assert inner_score("auc", target, probability) == pytest.approx(3 / 4)
    assert inner_score("average_precision", target, probability) == pytest.approx((1 + 2 / 3) / 2)
    assert inner_score("loss", target, probability) == pytest.approx(np.log([0.9, 0.2, 0.7, 0.9]).mean())
    # Above 80 % sensitivity half the negatives lie below every positive.
    assert inner_score("pauc", target, probability) == pytest.approx(0.2 / 2)


def test_each_score_by_hand_of_three_classes():
    target = np.array([0, 1, 2, 0])
    probability = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.1, 0.6, 0.3]])
    assert inner_score("macro_auc", target, probability) == pytest.approx((2.5 / 4 + 2 / 3 + 1) / 3)
    assert inner_score("loss", target, probability) == pytest.approx(np.log([0.6, 0.5, 0.7, 0.1]).mean())


def test_the_default_is_pauc_or_macro_auc_and_misfits_are_refused(toy_recipe):
    assert [checked_score(toy_recipe(), classes) for classes in (2, 3)] == ["pauc", "macro_auc"]
    for name in OF_TWO.keys() | OF_MORE.keys():
        recipe = toy_recipe(select="best", select_by=name)
        for classes, possible in ((2, OF_TWO), (3, OF_MORE)):
            if name in possible:
                assert checked_score(recipe, classes) == name
            else:
                with pytest.raises(RecipeError, match=f"select_by = '{name}' is no score of {classes} classes"):
                    checked_score(recipe, classes)


@pytest.mark.parametrize("select_by", OF_TWO)
def test_a_fit_keeps_the_epoch_that_its_score_prefers(tmp_path, toy_lesions, toy_recipe, monkeypatch, select_by):
    for name in OF_TWO:
        values = iter((0.1, 0.3, 0.2) if name == select_by else ())
        monkeypatch.setitem(OF_TWO, name, lambda target, probability, values=values: next(values))
    recipe = toy_recipe(select="best", select_by=select_by, inner_share=0.3)
    report = train_fold(FoldTask(recipe, toy_lesions(), ROWS, 7, "x"), Places(tmp_path), device="cpu").report
    assert report.selected_epoch == 2
    assert [epoch.inner_score for epoch in report.epochs] == [0.1, 0.3, 0.2]


def test_a_loss_is_scored_from_real_probabilities(tmp_path, toy_lesions, toy_recipe):
    recipe = toy_recipe(select="best", select_by="loss", inner_share=0.3, stop_after=2, epochs=4)
    report = train_fold(FoldTask(recipe, toy_lesions(), ROWS, 7, "x"), Places(tmp_path), device="cpu").report
    scores = [epoch.inner_score for epoch in report.epochs]
    assert all(score < 0 for score in scores)
    assert report.selected_epoch == int(np.argmax(scores)) + 1


def test_inner_rows_without_an_image_are_left_out_and_counted(tmp_path, toy_lesions, toy_recipe):
    present = np.arange(60) % 5 != 0
    lesions, recipe = toy_lesions(present=present), toy_recipe(select="best", epochs=2)
    target = lesions.target.copy()
    target[41] = -1
    lesions = toy_lesions(present=present, target=target)
    plan = plan_training(recipe, lesions, ROWS, 7, inner_rows=INNER)
    assert plan.inner_left_out == 5
    np.testing.assert_array_equal(plan.inner_rows, INNER[present[INNER] & (INNER != 41)])
    assert describe_plan(recipe, plan)[-1] == (
        "best epoch by score on 15 lesions of an inner split; 5 more cannot be scored"
    )
    task = FoldTask(recipe, lesions, ROWS, 7, "x", inner_rows=INNER)
    report = train_fold(task, Places(tmp_path), device="cpu").report
    assert report.inner_left_out == 5
    assert all(np.isfinite(epoch.inner_score) for epoch in report.epochs)


def test_metadata_alone_scores_lesions_without_an_image(tmp_path, toy_lesions, toy_recipe, told):
    lesions = told(toy_lesions(present=np.arange(60) % 5 != 0))
    recipe = toy_recipe(select="best", backbone="none", metadata=MetadataRecipe(columns=("age", "site")), epochs=1)
    task = FoldTask(recipe, lesions, ROWS, 7, "x", inner_rows=INNER)
    assert train_fold(task, Places(tmp_path), device="cpu").report.inner_left_out == 0


def test_inner_rows_of_which_too_few_are_left_are_refused(toy_lesions, toy_recipe):
    lesions = toy_lesions(present=np.arange(60) < 40)
    with pytest.raises(TrainingError, match=r"0 of 20 lesions named for comparing epochs .* lack a class"):
        plan_training(toy_recipe(select="best"), lesions, ROWS, 7, inner_rows=INNER)
