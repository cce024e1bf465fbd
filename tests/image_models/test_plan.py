import numpy as np
import pytest

from data.errors import TrainingError
from image_models.training.plan import describe_plan, plan_training

ROWS = np.arange(0, 60, 2)


def test_one_fit_on_target_or_on_the_relabelled_training_labels(toy_lesions, toy_recipe):
    lesions = toy_lesions(training_label=1 - toy_lesions().target)
    for labels, source in (("target", lesions.target), ("relabelled", lesions.training_label)):
        (fit,) = plan_training(toy_recipe(labels=labels), lesions, ROWS, 0).fits
        np.testing.assert_array_equal(fit.labels[ROWS], source[ROWS])
        assert fit.epochs == 3


def test_labels_of_other_rows_are_blanked(toy_lesions, toy_recipe):
    others = np.setdiff1d(np.arange(60), ROWS)
    plan = plan_training(toy_recipe(labels="relabelled_then_target"), toy_lesions(), ROWS, 0)
    assert all((fit.labels[others] == -1).all() for fit in plan.fits)
    assert all(np.isin(fit.sampler.rows_of_fit(5), ROWS).all() for fit in plan.fits)


def test_a_second_fit_has_its_own_length_and_draws(toy_lesions, toy_recipe):
    recipe = toy_recipe(labels="relabelled_then_target", second_fit_epochs=2)
    plan = plan_training(recipe, toy_lesions(), ROWS, 0)
    first, second = plan.fits
    assert (first.number, first.epochs, second.number, second.epochs) == (1, 3, 2, 2)
    assert plan.total_steps == first.total_steps + second.total_steps == 5 * first.sampler.steps_per_epoch
    assert first.sampler.rows(0).tolist() != second.sampler.rows(0).tolist()
    none = plan_training(toy_recipe(labels="relabelled_then_target", second_fit_epochs=0), toy_lesions(), ROWS, 0)
    assert [fit.number for fit in none.fits] == [1]


def test_inner_split_takes_whole_patients_from_the_training_rows(toy_lesions, toy_recipe):
    lesions = toy_lesions()
    plan = plan_training(toy_recipe(select="best", inner_share=0.3), lesions, ROWS, 4)
    inner, shown = plan.inner_rows, plan.fits[0].sampler.rows_of_fit(50)
    assert inner is not None
    assert np.isin(inner, ROWS).all()
    assert not set(lesions.group[inner]) & set(lesions.group[shown])
    assert set(lesions.target[inner]) == {0, 1}
    assert 0.1 < len(inner) / len(ROWS) < 0.5
    assert plan_training(toy_recipe(), lesions, ROWS, 4).inner_rows is None


def test_an_inner_split_that_cannot_be_made_is_said(toy_lesions, toy_recipe):
    recipe = toy_recipe(select="best")
    with pytest.raises(TrainingError, match=r"no inner split.*select = 'last'"):
        plan_training(recipe, toy_lesions(group=np.zeros(60, dtype=np.int64)), ROWS, 0)
    target = np.zeros(60, dtype=np.int64)
    target[[0, 2]] = 1  # one patient
    with pytest.raises(TrainingError, match="part of the inner split lacks a class"):
        plan_training(recipe, toy_lesions(target=target), ROWS, 0)


def test_description_says_what_will_be_done(toy_lesions, toy_recipe):
    recipe = toy_recipe(labels="relabelled_then_target", second_fit_epochs=1, select="best", inner_share=0.3)
    plan = plan_training(recipe, toy_lesions(), ROWS, 0)
    lines = describe_plan(recipe, plan)
    images = plan.fits[0].sampler.images_per_epoch
    steps = 3 * -(-images // 8)
    assert lines[0] == f"fit 1: 3 epochs x {images} images in batches of 8 x 1 = {steps} steps"
    assert any(line.startswith("  steps ") and "cosine" in line for line in lines)
    assert any(line.startswith("fit 2: 1 epochs") for line in lines)
    assert lines[-1].startswith("best epoch by score on ")
