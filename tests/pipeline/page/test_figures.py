"""Counts, filters, neighbours and places against slow and independent ways to find them."""

import cv2
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import LocalOutlierFactor

from data.scores.scores import confusion_at
from pipeline.page.body import HALF, TOP, dots
from pipeline.page.choice import PER_PAGE, Choice, chosen_patients
from pipeline.page.measured import Measured
from pipeline.page.patient import DEFAULTS, look_at, outliers, strongest
from tests.pipeline.page.conftest import Served


def test_the_figures_at_a_threshold_are_counted_right():
    rng = np.random.default_rng(0)
    target = (rng.random(400) < 0.1).astype(np.int64)
    score = np.round(rng.random(400), 2)
    measured = Measured.of(target, score)
    assert measured is not None
    for threshold in (*np.unique(score)[::9], 0.005, 0.555, 1.1):
        (cleared, false), (missed, found) = confusion_at(target, score, float(threshold))
        at = measured.at(float(threshold))
        assert at["sensitivity"] == pytest.approx(found / (found + missed))
        assert at["specificity"] == pytest.approx(cleared / (cleared + false))
        assert at["nnt"] == (pytest.approx((found + false) / found) if found else None)


def test_every_place_of_the_control_counts_lesions_and_patients(served: Served):
    view = served.page.opened.views["training"]
    groups, score = view.cohort.groups, view.score
    for level in view.levels[::7]:
        above = score >= level["score"]
        assert (level["lesions"], level["patients"]) == (above.sum(), len(np.unique(groups[above])))
    kept = {one["kept"] for one in view.levels if one["kept"]}
    assert kept == {f"{one.target:.0%}".replace("%", " %") for one in view.decision.thresholds if one.threshold}


@pytest.mark.parametrize("key", ["training", "test"])
def test_a_patient_is_all_of_their_lesions_in_order(served: Served, key: str):
    view = served.page.opened.views[key]
    groups = view.cohort.groups
    assert view.patient_count == len(np.unique(groups))
    for patient in range(view.patient_count):
        rows = view.rows_of(patient)
        assert sorted(rows) == np.flatnonzero(groups == groups[rows[0]]).tolist()
        assert (np.diff(view.score[rows]) <= 0).all()


def test_the_list_is_filtered_and_sorted(served: Served):
    view = served.page.opened.views["training"]
    table = view.cohort.table
    threshold = view.levels[view.usual_level]["score"]
    site = "posterior torso"
    asked = Choice.of({"site": site, "youngest": "40", "sort": "above", "above": "1"}, view)
    found, patients, lesions = chosen_patients(view, asked)
    expected = {}
    for row, one in enumerate(table.iter_rows(named=True)):
        if one["anatom_site_general"] == site and one["age_approx"] is not None and one["age_approx"] >= 40:
            expected.setdefault(one["patient_id"], []).append(view.score[row])
    counts = {name: sum(score >= threshold for score in scores) for name, scores in expected.items()}
    kept = {name: count for name, count in counts.items() if count}
    assert dict(zip(found["name"], found["above"], strict=True)) == dict(list(kept.items()))
    assert (patients, lesions) == (len(kept), sum(len(expected[name]) for name in kept))
    assert found["above"].to_list() == sorted(kept.values(), reverse=True)
    everyone = chosen_patients(view, Choice.of({}, view))
    assert everyone[1] == view.patient_count
    assert len(everyone[0]) == min(PER_PAGE, view.patient_count)
    lesion = str(view.cohort.ids[3])
    assert chosen_patients(view, Choice.of({"search": lesion.lower()}, view))[0]["name"].to_list() == [
        view.cohort.groups[3]
    ]
    assert chosen_patients(view, Choice.of({"search": "no such"}, view))[1] == 0


def test_nonsense_in_an_address_is_left_out(served: Served):
    view = served.page.opened.views["training"]
    words = {"level": "x", "page": "-3", "youngest": "nan", "oldest": "1e99", "sort": "drop", "search": "x" * 999}
    found = Choice.of(words, view)
    assert (found.level, found.page, found.youngest, found.oldest, found.sort) == (
        view.usual_level, 1, None, None, "suspicion",
    )  # fmt: skip
    assert len(found.search) == 300


def test_odd_lesions_and_components_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(60, 6)).astype(np.float32)
    points[7] += 9
    factor, odd = outliers(points)
    reference = LocalOutlierFactor(n_neighbors=DEFAULTS.outlier_neighbours).fit(points)
    np.testing.assert_allclose(factor, -reference.negative_outlier_factor_, rtol=1e-4)
    assert np.flatnonzero(odd).tolist() == [7]
    found, _ = strongest(points, list("abcdef"))
    np.testing.assert_allclose(np.abs(found), np.abs(PCA(2).fit_transform(points)), atol=1e-4)


def test_what_stands_out_is_measured_within_the_patient(served: Served):
    view = served.page.opened.views["training"]
    look = look_at(view, 2)
    values = view.cohort.table[look.rows]["clin_size_long_diam_mm"].to_numpy()
    expected = (values - values.mean()) / values.std(ddof=1)
    np.testing.assert_allclose(look.z[:, look.names.index("clin_size_long_diam_mm")], expected, rtol=1e-3, atol=1e-4)


def test_dots_lie_within_the_figure_on_the_right_side():
    rng = np.random.default_rng(2)
    outline = np.array([*HALF, *((-x, y) for x, y in reversed(HALF[1:-1]))], dtype=np.float32)
    positions = np.column_stack(
        [rng.uniform(-700, 700, 300), rng.uniform(-900, 1900, 300), rng.uniform(-200, 250, 300)]
    )
    for one, (x, _, z) in zip(dots(positions, [None] * 300), positions, strict=True):
        assert one is not None
        assert one.side == ("back" if z > 60 else "front")
        inside = (one.x if one.side == "back" else -one.x, TOP - one.y)
        assert cv2.pointPolygonTest(outline, inside, measureDist=False) >= 0
        # Seen from the front, the patient's left is on the right.
        assert one.x * x * (1 if one.side == "back" else -1) >= -1e-6 or abs(one.x) < 110
    nowhere = np.full((4, 3), np.nan)
    found = dots(nowhere, ["Left Arm - Upper", "Torso Back Top Third", None, "Left Arm - Upper"])
    assert [one.side if one else None for one in found] == ["front", "back", None, "front"]
    assert found[0] is not None
    assert found[0].x > 0
    assert not found[0].exact
    assert found[0] != found[3]
