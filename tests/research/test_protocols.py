"""Protocols divide as they say; pairing follows them."""

from pathlib import Path

import numpy as np
import pytest

from data.folds import make_folds
from data.readers import READERS
from research.systems.comparison import paired
from research.systems.null import paired_again
from research.systems.protocols import (
    by_row,
    divide,
    replicated,
    s3_published,
    s4_published,
    s5_published,
    subset,
)
from research.systems.registry import SYSTEMS, chosen_systems
from tests.research.conftest import Place


def test_replication_is_exact() -> None:
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1, 2], [50, 7, 1])
    rows = replicated(np.arange(58), target, 20, rng)
    assert np.bincount(target[rows]).tolist() == [20, 20, 20]
    times = np.bincount(rows, minlength=58)
    assert times[:50].max() == 1
    assert set(times[50:57]) == {2, 3}
    assert times[57] == 20


def test_division_by_row_keeps_every_row_and_every_share() -> None:
    target = np.repeat([0, 1], [60, 40])
    parts = by_row(np.arange(100), target, (0.7, 0.15, 0.15), np.random.default_rng(1))
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert [np.bincount(target[part]).tolist() for part in parts] == [[42, 28], [9, 6], [9, 6]]
    kept = subset(np.arange(100), target, 50, np.random.default_rng(2))
    assert np.bincount(target[kept]).tolist() == [30, 20]


def test_published_protocols_leak_as_they_say_and_the_sound_one_does_not(place: Place, tmp_path: Path) -> None:
    inputs = place("ham10000", tmp_path)
    cohort, rng = inputs.data.train, np.random.default_rng(3)
    folds = make_folds(cohort, inputs.run.recipe.folds)
    s5 = s5_published(cohort, 60, rng)
    every = np.concatenate([s5.train, s5.validation, s5.test])
    assert np.bincount(cohort.target[every]).tolist() == [60] * 7
    assert s5.shared_rows > 0.5
    s3 = s3_published(cohort, 0, rng)
    assert s3.shared_rows == 0
    assert s3.validation is s3.test
    expected = np.mean([group in set(cohort.groups[s3.train]) for group in cohort.groups[s3.test]])
    assert s3.shared_lesions(cohort.groups) == pytest.approx(expected)
    assert expected > 0
    s4 = s4_published(cohort, 0, rng)
    sides = [set(cohort.groups[rows]) for rows in (s4.train, s4.validation, s4.test)]
    assert not (sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2])
    sizes = np.array([len(rows) for rows in (s4.train, s4.validation, s4.test)])
    assert sizes / sizes.sum() == pytest.approx(np.array([2636, 659, 330]) / 3625, abs=0.05)
    for system in (s for s in SYSTEMS if not s.two_stages):
        sound = divide(system, "sound", cohort, folds, READERS["ham10000"].told_columns, seed=1, fast=False)
        assert "dx_type" not in sound.columns
        for part in sound.parts:
            assert not set(cohort.groups[part.train]) & set(cohort.groups[part.test])
            counts = np.bincount(cohort.target[part.train])
            assert not system.balance or len(set(counts.tolist())) == 1
        assert sorted(np.concatenate([part.test for part in sound.parts])) == list(range(len(cohort.ids)))
    leaky = divide(
        chosen_systems("s5_gated")[0], "published", cohort, folds, READERS["ham10000"].told_columns, seed=1, fast=False
    )
    assert "dx_type" in leaky.columns


def test_pairing_follows_the_protocol_and_the_dealt_label(place: Place, tmp_path: Path) -> None:
    inputs = place("s2_hybrid", tmp_path, "data.pairing.method=by_label")
    pairing, data = inputs.run.recipe.data.pairing, inputs.data
    assert pairing is not None
    assert paired(pairing, "published").method == "by_label"
    assert paired(pairing, "sound").method == "at_random"
    assert paired(pairing.model_copy(update={"method": "table"}), "sound").method == "table"
    giver = np.random.default_rng(6).permutation(len(data.train.ids))
    again = paired_again(data, data, giver).train.table
    assert again["tcga_AGE"].to_list() == data.train.table["tcga_AGE"].gather(giver).to_list()
    assert again["age"].equals(data.train.table["age"])
