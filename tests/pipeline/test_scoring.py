import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from data.schemas.isic2024 import TASK
from pipeline.scoring import score_one, shown


@pytest.fixture
def lesions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = (rng.random(300) < 0.2).astype(np.int64)
    probability = 1 / (1 + np.exp(-(target + rng.normal(size=300))))
    return target, probability, rng.integers(0, 40, 300)


def test_figures_agree_with_scikit_learn(lesions: tuple[np.ndarray, np.ndarray, np.ndarray]):
    target, probability, groups = lesions
    figures = score_one(TASK, target, probability, groups, seed=1, replicates=50)
    assert figures["auc"]["estimate"] == pytest.approx(roc_auc_score(target, probability), abs=1e-12)
    assert figures["average_precision"]["estimate"] == pytest.approx(
        average_precision_score(target, probability), abs=1e-12
    )
    main = figures["pauc"]
    assert main["low"] <= main["estimate"] <= main["high"]
    assert shown(figures, "pauc") == f"{main['estimate']:.4f} ({main['low']:.4f} to {main['high']:.4f})"


def test_a_lesion_without_a_probability_is_left_out_and_counted(lesions: tuple[np.ndarray, np.ndarray, np.ndarray]):
    target, probability, groups = lesions
    known = np.arange(300) % 7 > 0
    holed = np.where(known, probability, np.nan)
    figures = score_one(TASK, target, holed, groups, seed=1, replicates=0)
    alone = score_one(TASK, target[known], probability[known], groups[known], seed=1, replicates=0)
    assert figures["pauc"] == alone["pauc"]
    assert figures["without_prediction"]["estimate"] == (~known).sum()
    assert figures["lesions"]["estimate"] == known.sum()


def test_one_column_in_a_matrix_is_one_column(lesions: tuple[np.ndarray, np.ndarray, np.ndarray]):
    target, probability, groups = lesions
    flat = score_one(TASK, target, probability, groups, seed=3, replicates=20)
    assert score_one(TASK, target, probability[:, None], groups, seed=3, replicates=20) == flat
