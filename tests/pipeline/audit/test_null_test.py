import numpy as np
import pytest

from data.errors import DataError
from data.scores.scores import pauc
from pipeline.audit import null_test as null_test_module
from pipeline.audit.deal import deal, deals_like
from pipeline.audit.null_test import NullTest, Outcome, judged, null_test

PATIENTS = np.repeat(np.arange(40), np.random.default_rng(0).integers(2, 30, 40))
TARGET = (np.random.default_rng(1).random(len(PATIENTS)) < np.random.default_rng(2).beta(0.3, 2.0, 40)[PATIENTS]) * 1
EVERYONE = np.arange(len(TARGET))


def test_a_deal_hands_out_every_label_once():
    for seed in range(5):
        giver = deal(PATIENTS, np.random.default_rng(seed))
        assert sorted(giver) == list(range(len(PATIENTS)))


def test_likened_deals_keep_about_the_positives_and_the_clumps_of_each_fold():
    rng = np.random.default_rng(6)
    pool = np.stack([TARGET[deal(PATIENTS, rng)] for _ in range(800)])
    rows, fold = np.arange(len(TARGET)), PATIENTS % 3
    target = pool[0]
    likened = np.stack(list(deals_like(target, rows, fold, pool, 200, rng)))
    for part in range(3):
        wanted = target[fold == part].sum()
        assert abs(likened[:, fold == part].sum(axis=1) - wanted).max() <= 3
    assert 0.8 < np.mean([spread(labels) for labels in likened]) / np.mean([spread(labels) for labels in pool]) < 1.2


def test_likened_deals_follow_rows_that_are_copied_or_left_out():
    rng = np.random.default_rng(6)
    pool = np.stack([TARGET[deal(PATIENTS, rng)] for _ in range(50)])
    rows = np.array([5, 5, 9, 100])
    for labels in deals_like(TARGET[rows], rows, np.zeros(4, dtype=int), pool, 20, rng):
        assert labels[0] == labels[1]
        assert any(np.array_equal(labels, dealt[rows]) for dealt in pool)


def spread(target: np.ndarray) -> float:
    """Variance between patients of the share of positives."""
    sizes = np.bincount(PATIENTS)
    shares = np.bincount(PATIENTS, target) / sizes
    return float(np.average((shares - target.mean()) ** 2, weights=sizes))


def test_every_lesion_gets_a_positive_label_as_often_whatever_the_size_of_its_patient():
    rng = np.random.default_rng(3)
    hits = np.mean([TARGET[deal(PATIENTS, rng)] for _ in range(1000)], axis=0)
    error = np.sqrt(TARGET.mean() * (1 - TARGET.mean()) / 1000)
    assert np.abs(hits - TARGET.mean()).max() < 5 * error


def test_labels_stay_clumped_by_patient():
    """Spread over patients, dealt labels vary as the true ones do, and far more than shuffled lesions would."""
    rng = np.random.default_rng(4)
    dealt = np.mean([spread(TARGET[deal(PATIENTS, rng)]) for _ in range(200)])
    shuffled = np.mean([spread(rng.permutation(TARGET)) for _ in range(200)])
    assert shuffled < 0.5 * dealt
    assert 0.4 * spread(TARGET) < dealt < 1.5 * spread(TARGET)


@pytest.fixture(autouse=True)
def fewer_deals_to_choose_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(null_test_module, "POOL", 300)


def experiment_of(leak: float):
    """Random probabilities with a share `leak` of the label in them."""

    def experiment(giver: np.ndarray, draw: int) -> Outcome:
        rng = np.random.default_rng([7, draw])
        # Patients share a part of their value, as they do in real predictions.
        value = rng.normal(size=len(giver)) + rng.normal(size=40)[PATIENTS]
        fold = rng.integers(0, 3, 40)[PATIENTS]
        return Outcome(EVERYONE, fold, {"noise": value, "leaking": value + leak * TARGET[giver]})

    return experiment


def judge(column: np.ndarray, score: str = "pauc", target: np.ndarray = TARGET) -> NullTest:
    """One column with the labels where they are."""
    outcome = Outcome(EVERYONE, PATIENTS % 3, {"column": column})
    return judged([(EVERYONE, outcome)], target, PATIENTS, seed=0, score=score, deals=99, alarm=0.01)


def test_noise_passes_and_a_leak_does_not():
    clean = null_test(experiment_of(0.0), TARGET, PATIENTS, draws=3, seed=5, deals=199)
    assert clean.passed
    assert clean.columns[0].chance_low < clean.columns[0].score < clean.columns[0].chance_high
    leaking = null_test(experiment_of(2.0), TARGET, PATIENTS, draws=3, seed=5, deals=199)
    assert not leaking.passed
    assert leaking.farthest.name == "leaking"
    assert leaking.columns[0].p > 0.01


def test_a_score_below_chance_fails_as_well():
    assert not null_test(experiment_of(-2.0), TARGET, PATIENTS, draws=3, seed=5, score="auc", deals=199).passed


def test_scores_are_those_of_the_whole_column_and_leave_out_lesions_without_a_value():
    column = np.random.default_rng(0).random(len(TARGET))
    column[::4] = np.nan
    known = np.isfinite(column)
    assert judge(column).columns[0].score == pauc(TARGET[known], column[known])


def test_a_constant_column_is_chance_itself():
    found = judge(np.full(len(TARGET), 0.3))
    assert found.passed
    assert found.columns[0].score == pytest.approx(0.02)


def test_several_classes_are_scored_by_mean_auc():
    rng = np.random.default_rng(8)
    target = rng.integers(0, 3, len(PATIENTS))
    value = rng.dirichlet(np.ones(3), len(PATIENTS))
    assert judge(value, "auc", target).passed
    assert not judge((value + np.eye(3)[target]) / 2, "auc", target).passed


def test_false_alarms_are_as_rare_as_stated():
    """At a rule of one in five, 30 honest tables raise about 6 alarms; 15 would be four standard deviations more."""
    alarms = 0
    for seed in range(30):
        rng = np.random.default_rng([9, seed])
        giver = deal(PATIENTS, rng)
        shared = rng.normal(size=40)[PATIENTS]
        columns = {name: shared + rng.normal(size=len(giver)) for name in "abc"}
        outcome = Outcome(EVERYONE, rng.integers(0, 3, 40)[PATIENTS], columns)
        found = judged([(giver, outcome)], TARGET, PATIENTS, seed=seed, score="auc", deals=39, alarm=0.2)
        alarms += not found.passed
    assert 1 <= alarms <= 15


def test_too_few_deals_for_the_rule_and_no_draw_are_refused():
    with pytest.raises(DataError, match="99 deals at least, got 50"):
        null_test(experiment_of(0.0), TARGET, PATIENTS, draws=1, seed=0, deals=50)
    with pytest.raises(DataError, match="one draw at least"):
        null_test(experiment_of(0.0), TARGET, PATIENTS, draws=0, seed=0)
