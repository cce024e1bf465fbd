import hashlib

from hypothesis import given
from hypothesis import strategies as st

from pipeline.seeds import derive


def test_a_seed_is_what_its_definition_says_on_any_machine():
    digest = hashlib.sha256(b"42/vit_tiny/fold_3").digest()
    assert derive(42, "vit_tiny", "fold_3") == int.from_bytes(digest[:4], "big") // 2
    assert derive(42) == int(hashlib.sha256(b"42").hexdigest()[:8], 16) >> 1


@given(st.integers(0, 2**62), st.lists(st.one_of(st.text(), st.integers()), max_size=4))
def test_seeds_fit_every_library(seed: int, names: list[str | int]):
    assert 0 <= derive(seed, *names) < 2**31


def test_jobs_get_seeds_of_their_own():
    jobs = [derive(seed, model, fold) for seed in range(10) for model in ("narrow", "wide") for fold in range(10)]
    assert len(set(jobs)) == len(jobs)
    assert derive(1, "a", "b") != derive(1, "b", "a")
