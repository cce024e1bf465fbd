import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import TrainingError
from image_models.recipe import ImageModelRecipe
from image_models.training.sampler import RatioSampler, Sampler, make_sampler


def sampler(
    labels: list[int], present: list[bool] | None = None, smallest: int = 1, seed: int = 0, **keys: object
) -> Sampler:
    recipe = ImageModelRecipe(**{"name": "m", "backbone": "lesion_net", **keys})  # type: ignore[arg-type]
    return make_sampler(
        recipe,
        np.array(labels),
        np.ones(len(labels), dtype=np.bool_) if present is None else np.array(present),
        np.arange(len(labels)),
        classes=max(2, max(labels) + 1),
        seed=seed,
        smallest_batch=smallest,
    )


BINARY = st.lists(st.sampled_from([-1, 0, 0, 0, 1]), min_size=2, max_size=60).filter(
    lambda labels: {0, 1} <= set(labels)
)


@given(
    labels=BINARY,
    data=st.data(),
    ratio=st.floats(0.1, 6),
    repeats=st.integers(1, 3),
    batch=st.integers(1, 9),
    accumulate=st.integers(1, 3),
    smallest=st.integers(1, 2),
    epoch=st.integers(0, 50),
)
def test_an_epoch_is_all_positives_and_its_share_of_negatives(
    labels, data, ratio, repeats, batch, accumulate, smallest, epoch
):
    present = data.draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels)))
    for label in (0, 1):
        present[labels.index(label)] = True
    drawn = sampler(
        labels, present, smallest, negatives_per_positive=ratio, positive_repeats=repeats, batch_size=batch,
        accumulate=accumulate,
    )  # fmt: skip
    usable = np.flatnonzero(present)
    positives = [row for row in usable if labels[row] == 1]
    negatives = [row for row in usable if labels[row] == 0]
    rows = drawn.rows(epoch)
    assert isinstance(drawn, RatioSampler)
    full = np.concatenate([drawn.always, np.zeros(drawn.drawn)])
    wanted = max(1, round(len(positives) * repeats * ratio))
    assert drawn.drawn == wanted
    assert len(rows) == drawn.images_per_epoch
    dropped = len(full) - len(rows)
    assert dropped == (1 if smallest == 2 and batch >= 2 and len(full) % batch == 1 and len(full) > 1 else 0)
    assert all(present[row] and labels[row] >= 0 for row in rows)
    counts = np.bincount(rows, minlength=len(labels))
    assert (np.abs(counts[positives] - repeats) <= dropped).all()
    # Without replacement: no negative is shown twice more than another.
    assert counts[negatives].max() - counts[negatives].min() <= 1 + dropped
    steps = list(drawn.steps(epoch))
    assert len(steps) == drawn.steps_per_epoch
    np.testing.assert_array_equal(np.concatenate([np.concatenate(step) for step in steps]), rows)
    assert all(len(step) <= accumulate and all(len(part) <= batch for part in step) for step in steps)
    assert all(len(part) == batch for step in steps[:-1] for part in step)


@given(labels=BINARY, epoch=st.integers(0, 20), seed=st.integers(0, 2**63), first=st.integers(0, 5))
def test_a_draw_depends_on_seed_and_epoch_alone(labels, epoch, seed, first):
    one, other = (sampler(labels, seed=seed, batch_size=3) for _ in range(2))
    one.rows(epoch + 1)
    np.testing.assert_array_equal(one.rows(epoch), other.rows(epoch))
    rest, whole = list(one.steps(epoch, first)), list(other.steps(epoch))[first:]
    assert [part.tolist() for step in rest for part in step] == [part.tolist() for step in whole for part in step]


def test_negatives_are_drawn_anew_each_epoch():
    drawn = sampler([1] * 10 + [0] * 500)
    epochs = [set(drawn.rows(epoch)) for epoch in range(3)]
    assert all(len(rows) == 20 for rows in epochs)
    assert len(epochs[0] & epochs[1]) < 15
    assert set(drawn.rows_of_fit(3)) == epochs[0] | epochs[1] | epochs[2]
    assert list(drawn.rows_of_fit(3)) == sorted(drawn.rows_of_fit(3))


@given(labels=BINARY, ratio=st.floats(0.1, 6), epochs=st.integers(1, 4), batch=st.integers(1, 5))
def test_rows_of_a_fit_hold_those_of_its_epochs(labels, ratio, epochs, batch):
    drawn = sampler(labels, negatives_per_positive=ratio, batch_size=batch, smallest=2)
    shown = drawn.rows_of_fit(epochs)
    assert (np.diff(shown) > 0).all()
    for epoch in range(epochs):
        assert np.isin(drawn.rows(epoch), shown).all()


@given(
    labels=st.lists(st.integers(-1, 3), min_size=2, max_size=60).filter(lambda ls: len({x for x in ls if x >= 0}) > 1),
    epoch=st.integers(0, 20),
    batch=st.integers(1, 9),
)
def test_weighted_draws_show_every_class_equally_often(labels, epoch, batch):
    drawn = sampler(labels, sampling="weighted", batch_size=batch)
    rows = drawn.rows(epoch)
    known = [label for label in labels if label >= 0]
    assert len(rows) == len(known) == drawn.images_per_epoch
    shown = np.bincount(np.array(labels)[rows], minlength=4)
    assert {code for code in range(4) if shown[code]} == set(known)
    assert np.ptp(shown[sorted(set(known))]) <= 1
    counts = drawn.class_counts(np.array(labels), 5)
    assert (np.abs(counts[:4] - shown) <= 1).all()
    assert set(rows) <= set(drawn.rows_of_fit(epoch + 1))
    again = sampler(labels, sampling="weighted", batch_size=batch)
    np.testing.assert_array_equal(again.rows(epoch), rows)


def test_weighted_draws_are_with_replacement_and_anew_each_epoch():
    drawn = sampler([1] * 2 + [0] * 98, sampling="weighted")
    first, second = drawn.rows(0), drawn.rows(1)
    assert (np.bincount(first, minlength=100)[:2] > 10).all()
    assert sorted(first) != sorted(second)
    counts = np.bincount(np.concatenate([drawn.rows(epoch) for epoch in range(2000)]), minlength=100)
    # 50 of 98 draws with replacement per epoch: 1020 in the mean, standard deviation 32.
    assert np.abs(counts[2:] - 2000 * 50 / 98).max() < 5 * 32


def test_all_shows_every_row_once_whatever_the_ratio():
    assert sorted(sampler([0, 1, 1, 0, 0, -1, 0], sampling="all").rows(3)) == [0, 1, 2, 3, 4, 6]


def test_every_negative_has_the_same_chance():
    drawn = sampler([1] * 5 + [0] * 20)
    counts = np.bincount(np.concatenate([drawn.rows(epoch) for epoch in range(2000)]), minlength=25)
    assert (counts[:5] == 2000).all()
    # 2000 draws with probability 1/4: standard deviation 19.4.
    assert np.abs(counts[5:] - 500).max() < 5 * 19.4


def test_everything_once_when_nothing_is_drawn_or_there_are_many_classes():
    labels = [0, 1, 1, 0, 0, -1, 0]
    assert sorted(sampler(labels, negatives_per_positive=0.0).rows(3)) == [0, 1, 2, 3, 4, 6]
    assert sorted(sampler([2, 0, 1, 0, -1], positive_repeats=3).rows(3)) == [0, 1, 2, 3]


def test_class_counts_are_those_of_an_epoch():
    drawn = sampler([1] * 3 + [0] * 30, negatives_per_positive=2.0, positive_repeats=2)
    labels = np.array([1] * 3 + [0] * 30)
    assert drawn.class_counts(labels, 2).tolist() == [12, 6]
    assert drawn.class_counts(labels, 2).tolist() == np.bincount(labels[drawn.rows(0)]).tolist()
    three = np.array([2, 0, 1, 0, -1])
    assert sampler(three.tolist()).class_counts(three, 4).tolist() == [2, 1, 1, 0]


def test_a_single_class_cannot_be_learned():
    with pytest.raises(TrainingError, match="only class 1 among 2 training lesions"):
        sampler([1, 1])
    with pytest.raises(TrainingError, match="no lesion with an image and a label"):
        sampler([0, 1], present=[False, False])
    with pytest.raises(TrainingError, match="only class 0"):
        sampler([0, 1], present=[True, False])
