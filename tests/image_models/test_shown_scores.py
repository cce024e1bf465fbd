"""Accuracy and AUC counted while training: scikit-learn's, and those of a network that stands still."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, roc_auc_score
from torch.nn import functional

from image_models.predict import predict
from image_models.training import shown_scores
from image_models.training.inner_score import progress_scores
from image_models.training.plan import plan_training
from image_models.training.shown_scores import ShownScores
from image_models.training.train import FoldTask, Places, train_fold

ROWS = np.arange(48)


@pytest.mark.parametrize("classes", [2, 5])
def test_counts_are_scikit_learns_scores(classes: int) -> None:
    rng = np.random.default_rng(3)
    label = rng.choice(classes, size=3_000, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    logits = rng.normal(size=(3_000, 1 if classes == 2 else classes)) * 2 - 3
    if classes == 2:
        logits[:, 0] += label
    else:
        logits[np.arange(3_000), label] += 1.5
    shown = ShownScores(classes, torch.device("cpu"))
    given, shares = torch.from_numpy(logits), functional.one_hot(torch.from_numpy(label), classes).float()
    taken = 0
    for size in (1, 600, 2_399):
        if taken:  # as a saved state brings it back
            saved = {name: tensor.clone() for name, tensor in shown.tensors().items()}
            shown = ShownScores(classes, torch.device("cpu"))
            shown.restore(saved)
        shown.add(
            shown.counted(given[taken : taken + size], shares[taken : taken + size].lerp(torch.ones(()) / classes, 0.1))
        )
        taken += size
    accuracy, auc = shown.close()
    if classes == 2:
        called, exact = logits[:, 0] > 0, roc_auc_score(label, logits[:, 0])
    else:
        probability = torch.softmax(given, dim=1).numpy()
        called, exact = probability.argmax(axis=1), roc_auc_score(label, probability, multi_class="ovr")
    assert accuracy == pytest.approx(accuracy_score(label, called), abs=1e-6)
    assert auc == pytest.approx(exact, abs=2e-3)
    shown.add(shown.counted(given[:1], shares[:1]))  # a new epoch begins from nothing
    assert shown.close() == (float(called[0] == label[0]), None)


def test_an_epoch_reports_both_parts(
    tmp_path: Path, toy_lesions: Any, toy_recipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a rate of almost nothing, without dropout and batch statistics, all steps answer as the kept network does."""
    recipe = toy_recipe(
        select="best", inner_share=0.3, epochs=1, learning_rate=1e-12, minimum_learning_rate=0, dropout=0.0,
        frozen=True, sampling="all", ema_decay=0.0, precision="fp32",
    )  # fmt: skip
    # An untrained network's answers lie closer to each other than the rungs.
    monkeypatch.setattr(shown_scores, "LOWEST", -0.5)
    monkeypatch.setattr(shown_scores, "HIGHEST", 0.5)
    lesions = toy_lesions()
    trained = train_fold(FoldTask(recipe, lesions, ROWS, 7, "f"), Places(tmp_path), device="cpu")
    (epoch,) = trained.report.epochs
    plan = plan_training(recipe, lesions, ROWS, 7)
    assert plan.inner_rows is not None
    shown = plan.fits[0].sampler.rows_of_fit(1)
    for rows, found in (
        (shown, (epoch.loss, epoch.accuracy, epoch.auc)),
        (plan.inner_rows, (epoch.inner_loss, epoch.inner_accuracy, epoch.inner_auc)),
    ):
        probability = predict(trained.network, recipe, lesions, rows, device="cpu")
        exact = progress_scores(lesions.target[rows], probability)
        assert found == pytest.approx(tuple(exact.values()), abs=4e-3)


def test_validation_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(5)
    target = rng.integers(4, size=200)
    probability = rng.dirichlet(np.ones(4), size=200)
    found = progress_scores(target, probability)
    assert found["inner_accuracy"] == pytest.approx(accuracy_score(target, probability.argmax(axis=1)))
    assert found["inner_auc"] == pytest.approx(roc_auc_score(target, probability, multi_class="ovr"))
    assert found["inner_loss"] == pytest.approx(-np.log(probability[np.arange(200), target]).mean())
    two = progress_scores(target % 2, probability[:, :1])
    assert two["inner_accuracy"] == pytest.approx(accuracy_score(target % 2, probability[:, 0] > 0.5))
    assert two["inner_auc"] == pytest.approx(roc_auc_score(target % 2, probability[:, 0]))
