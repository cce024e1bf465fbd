import os
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import polars as pl
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from data.errors import DataError
from data.relabel import relabelled
from data.synthetic.isic2024.cohort import TEST_COLUMNS, TRAIN_COLUMNS, DrawnLesions, draw_cohort, write_cohort
from data.synthetic.isic2024.facts import facts, malignant_curve, marginal
from data.synthetic.isic2024.images import render
from data.synthetic.isic2024.recipe import SyntheticRecipe
from tests.data.synthetic.shared import DRAW, TINY, children


def test_published_size_has_the_published_counts() -> None:
    counts = SyntheticRecipe(lesions=401_059).counts
    assert (counts.patients, counts.malignant, counts.biopsied) == (1042, 393, 675)


def test_default_is_the_enriched_demonstration() -> None:
    recipe = SyntheticRecipe()
    assert (recipe.counts.patients, recipe.counts.malignant) == (160, 140)
    assert recipe.test_counts.malignant == 105


@settings(max_examples=15, deadline=None)
@given(st.integers(20, 700), st.integers(10, 300), st.integers(0, 2**40))
def test_any_size_keeps_its_promises(lesions: int, test_lesions: int, seed: int) -> None:
    recipe = SyntheticRecipe(lesions=lesions, test_lesions=test_lesions, seed=seed)
    for part, counts in zip(draw_cohort(recipe), (recipe.counts, recipe.test_counts), strict=True):
        assert part.table.height == part.looks.size == counts.lesions
        assert part.table["isic_id"].n_unique() == counts.lesions
        assert part.table["patient_id"].n_unique() == counts.patients
        assert part.table["target"].sum() == counts.malignant
        assert part.table["isic_id"].is_sorted()


@pytest.mark.parametrize(
    "wrong",
    [
        {"lesions": 30, "patients": 31},
        {"lesions": 30, "malignant": 30},
        {"lesions": 30.5},
        {"lesion": 30},
        {"seed": -1},
    ],
)
def test_impossible_recipe_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SyntheticRecipe(**wrong)  # type: ignore[arg-type]


def test_identities_hold_to_float32_rounding(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    t = {name: large[0].table[name].to_numpy().astype(np.float64) for name in TRAIN_COLUMNS if name.startswith("tbp_lv")
         and large[0].table[name].dtype.is_numeric()}  # fmt: skip
    for outside in ("", "ext"):
        a, b = t[f"tbp_lv_A{outside}"], t[f"tbp_lv_B{outside}"]
        np.testing.assert_allclose(t[f"tbp_lv_C{outside}"], np.hypot(a, b), rtol=1e-6)
        np.testing.assert_allclose(t[f"tbp_lv_H{outside}"], np.degrees(np.arctan2(b, a)), rtol=1e-6, atol=1e-4)
    for channel in "LAB":
        difference = t[f"tbp_lv_{channel}"] - t[f"tbp_lv_{channel}ext"]
        np.testing.assert_allclose(t[f"tbp_lv_delta{channel}"], difference, atol=2e-5)
    ratio = t["tbp_lv_perimeterMM"] ** 2 / t["tbp_lv_areaMM2"]
    np.testing.assert_allclose(t["tbp_lv_area_perim_ratio"], ratio, rtol=1e-6)
    contrast = t["tbp_lv_deltaLB"] / np.hypot(t["tbp_lv_deltaL"], t["tbp_lv_deltaB"])
    assert contrast.min() > 1.0
    assert np.quantile(contrast, 0.95) < 1.1


def test_colour_spreads_vanish_together_on_six_percent(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    table = large[0].table
    none = table["tbp_lv_norm_color"] == 0
    assert none.to_list() == (table["tbp_lv_color_std_mean"] == 0).to_list()
    assert none.mean() == pytest.approx(0.06, abs=0.015)


def test_missing_shares_and_their_consistency(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    table = large[0].table
    for column, share in (("sex", 0.0287), ("age_approx", 0.0070)):
        assert table[column].null_count() / table.height == pytest.approx(share, abs=0.002)
        assert table.group_by("patient_id").agg(pl.col(column).n_unique())[column].max() == 1
    assert table["anatom_site_general"].null_count() / table.height == pytest.approx(0.0144, abs=0.006)
    assert (table["anatom_site_general"].is_null() == (table["tbp_lv_location"] == "Unknown")).all()


def test_categories(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    train, test = large[0].table, large[1].table
    assert set(train["tbp_lv_location"]) <= {place["location"] for place in facts()["locations"]}
    assert len(facts()["locations"]) == 21
    assert train["tbp_lv_location_simple"].n_unique() == 8
    assert train["attribution"].n_unique() == 7
    assert set(test["attribution"]) - set(train["attribution"]) == {"FNQH Cairns"}
    assert train.group_by("attribution").agg(pl.col("copyright_license").n_unique())["copyright_license"].max() == 1
    for column in ("attribution", "tbp_tile_type"):
        assert train.group_by("patient_id").agg(pl.col(column).n_unique())[column].max() == 1


def test_patients_and_lesions_of_the_parts_are_disjoint(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    train, test = large[0].table, large[1].table
    assert not set(train["patient_id"]) & set(test["patient_id"])
    assert not set(train["isic_id"]) & set(test["isic_id"])
    assert train["isic_id"].str.contains(r"^ISIC_\d{7}$").all()
    assert train["patient_id"].str.contains(r"^IP_\d{7}$").all()


def test_lesions_below_the_threshold_are_tagged(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    table = large[0].table
    small = table.filter(pl.col("clin_size_long_diam_mm") < 2.5)
    assert small["lesion_id"].null_count() == 0
    assert small.filter(pl.col("target") == 1).height / table["target"].sum() == pytest.approx(0.26, abs=0.08)
    assert small.filter(pl.col("target") == 0).height > 100


def test_diagnoses_agree_with_the_target(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    table = large[0].table
    assert ((table["iddx_1"] == "Malignant") == (table["target"] == 1)).all()
    parts = table.select(pl.concat_str([f"iddx_{level}" for level in range(1, 6)], separator="::", ignore_nulls=True))
    assert parts.to_series().to_list() == table["iddx_full"].to_list()
    invasive = table["iddx_full"].str.contains("Melanoma Invasive")
    assert invasive.filter(table["mel_thick_mm"].is_not_null()).all()
    assert (table["mel_thick_mm"].is_null() == table["mel_mitotic_index"].is_null()).all()
    assert "<1/mm^2" in set(table["mel_mitotic_index"])


def test_curated_label_adds_the_biopsied_lesions(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    from data.cohort import Cohort, Task

    recipe = SyntheticRecipe(lesions=40_000, test_lesions=8_000)
    cohort = Cohort(large[0].table, Task("isic_id", "patient_id", "target"), labelled=True)
    label = relabelled(cohort)
    assert label.sum() == recipe.counts.malignant + recipe.counts.biopsied
    assert np.all(label[cohort.target == 1] == 1)
    assert "Indeterminate" in set(large[0].table["iddx_1"])


def test_lesions_per_patient_are_skewed(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    counts = large[0].table.group_by("patient_id").len()["len"]
    assert counts.mean() > 1.25 * counts.median()
    assert counts.max() > 5 * counts.median()
    assert counts.min() < 10


def test_lesions_resemble_their_patients_other_lesions(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    table = large[0].table
    within = table.select((pl.col("tbp_lv_Lext") - pl.col("tbp_lv_Lext").mean().over("patient_id")).std()).item()
    assert within < 0.7 * table["tbp_lv_Lext"].std()


def test_malignant_lesions_stand_out_among_their_patients_lesions(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    """Contrast to the patient's other lesions separates better than the bare value."""
    table = large[0].table
    target = table["target"].to_numpy()
    own = table["tbp_lv_deltaB"].to_numpy()
    relative = table.select(pl.col("tbp_lv_deltaB") - pl.col("tbp_lv_deltaB").mean().over("patient_id")).to_series()
    assert roc_auc_score(target, -relative.to_numpy()) > roc_auc_score(target, -own) + 0.02


@pytest.mark.parametrize("column", ["tbp_lv_deltaL", "tbp_lv_norm_color", "clin_size_long_diam_mm", "tbp_lv_stdLExt"])
def test_curves_are_monotone_and_meet_the_published_medians(column: str) -> None:
    scores = np.linspace(-5, 5, 501)
    values = marginal(column).value(scores)
    assert np.all(np.diff(values) >= 0)
    assert np.all(np.diff(malignant_curve(column).value(scores)) >= 0)
    if "color" not in column:
        assert marginal(column).value(np.zeros(1))[0] == pytest.approx(facts()["quartiles"][column][2])
    inner = np.linspace(-2, 2, 41)
    np.testing.assert_allclose(marginal(column).score(marginal(column).value(inner)), inner, atol=0.01)


def test_neither_order_nor_ids_nor_side_tell_the_class(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    for part in large:
        target = part.table["target"].to_numpy()
        assert roc_auc_score(target, np.arange(target.size)) == pytest.approx(0.5, abs=0.09)
        assert roc_auc_score(target, part.looks["side"]) == pytest.approx(0.5, abs=0.09)


def test_sign_in_the_picture_is_in_no_column(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    """Within a class, no measured column is correlated with what only the picture shows."""
    table, atypia = large[0].table, large[0].looks["atypia"].astype(np.float64)
    benign = (table["target"] == 0).to_numpy() & table["iddx_2"].is_null().to_numpy()
    for column in TEST_COLUMNS:
        if table[column].dtype.is_numeric() and column != "age_approx":
            values = table[column].to_numpy()[benign].astype(np.float64)
            assert abs(np.corrcoef(values, atypia[benign])[0, 1]) < 0.025, column
    assert roc_auc_score(table["target"].to_numpy(), atypia) > 0.9


def test_mask_has_the_area_of_the_table(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    part = large[0]
    area = part.table["tbp_lv_areaMM2"].to_numpy()
    rows = np.flatnonzero((area > 4) & (area < 30))[:60]
    drawn = [mask.mean() * 15.0**2 for mask in (render(part.looks[row])[1] for row in rows)]
    assert np.median(np.array(drawn) / area[rows]) == pytest.approx(1.0, abs=0.15)
    assert np.corrcoef(np.log(drawn), np.log(area[rows]))[0, 1] > 0.9


def test_lesion_is_darker_and_skin_follows_the_table(large: tuple[DrawnLesions, DrawnLesions]) -> None:
    part = large[0]
    rows = np.flatnonzero((part.table["tbp_lv_areaMM2"] > 6).to_numpy() & (part.table["target"] == 0).to_numpy())[:80]
    inside, around = [], []
    for row in rows:
        tile, mask = render(part.looks[row])
        grey = tile.mean(axis=2)
        inside.append(grey[mask].mean())
        around.append(np.median(grey[~mask]))
    assert np.mean(np.array(inside) < np.array(around)) > 0.95
    assert np.corrcoef(around, part.table["tbp_lv_Lext"].to_numpy()[rows])[0, 1] > 0.9
    contrast = np.array(inside) - np.array(around)
    assert np.corrcoef(contrast, part.table["tbp_lv_deltaL"].to_numpy()[rows])[0, 1] > 0.6


def test_a_look_draws_the_tile_again_with_its_outline(tiny_folder: Path) -> None:
    for part, lesions in zip(("train", "test"), draw_cohort(TINY), strict=True):
        with h5py.File(tiny_folder / f"{part}-image.hdf5") as file:
            lesion = sorted(file)[5]
            encoded = np.frombuffer(file[lesion][()], np.uint8)
        tile, mask = render(lesions.looks[lesions.table["isic_id"].to_list().index(lesion)])
        written = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert written.shape == tile.shape
        assert np.abs(written.astype(int) - tile).mean() < 6
        assert mask.shape == tile.shape[:2]


def test_a_drawing_process_that_dies_is_said_and_nothing_is_left(tmp_path: Path):
    def kill_one(done: int, total: int, **figures: float) -> None:
        for child in children():
            child.kill()

    with pytest.raises(DataError, match=r"a process that draws .* died.*data\.workers = 1"):
        write_cohort(tmp_path / "c", SyntheticRecipe(lesions=1500, test_lesions=300), progress=kill_one, workers=2)
    assert list(tmp_path.iterdir()) == []


def test_drawing_processes_end_with_a_parent_that_was_killed(tmp_path: Path):
    (tmp_path / "draw.py").write_text(DRAW)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "draw.py"), str(tmp_path / "c")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert parent.stdout is not None
    assert parent.stdout.readline().strip() == b"250"
    workers = psutil.Process(parent.pid).children(recursive=True)
    assert workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=30)
    for process in alive:
        process.kill()
    assert not alive
