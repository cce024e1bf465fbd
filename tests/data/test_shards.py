import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.images.shards import Shards, take


@st.composite
def split(draw: st.DrawFn) -> tuple[Shards, np.ndarray]:
    """Shards and the same images in one array."""
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any))
    whole = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, (sum(lengths), 2, 2, 3), dtype=np.uint8)
    return Shards(tuple(np.split(whole, np.cumsum(lengths)[:-1]))), whole


@given(split(), st.data())
def test_shards_are_indexed_as_one_array_is(made: tuple[Shards, np.ndarray], data: st.DataObject):
    shards, whole = made
    assert (shards.shape, shards.dtype, shards.ndim, len(shards)) == (whole.shape, whole.dtype, 4, len(whole))
    rows = np.array(data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=12)), dtype=np.int64)
    np.testing.assert_array_equal(shards[rows], whole[rows])
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole))))
    np.testing.assert_array_equal(shards[mask], whole[mask])
    part = data.draw(st.slices(len(whole)))
    np.testing.assert_array_equal(shards[part], whole[part])
    row = data.draw(st.integers(-len(whole), len(whole) - 1))
    np.testing.assert_array_equal(shards[row], whole[row])
    np.testing.assert_array_equal(np.array(shards), whole)
    out = np.empty((len(rows), 2, 2, 3), np.uint8)
    for images in (shards, whole):
        out[:] = 1
        take(images, rows, out)
        np.testing.assert_array_equal(out, whole[rows])


def test_a_row_beyond_the_end_and_parts_that_differ_are_refused():
    images = np.zeros((3, 2, 2, 3), np.uint8)
    with pytest.raises(IndexError):
        Shards((images, images))[6]
    with pytest.raises(ValueError, match="parts of one array are alike"):
        Shards((images, images[:, :1]))
