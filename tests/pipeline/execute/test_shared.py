"""Large things that jobs have in common: made once, the oldest going first."""

import contextlib
import threading
import time

from pipeline.execute.shared import Shared


def test_a_thing_is_made_once_for_all_threads():
    shared, made = Shared(), []

    def make() -> int:
        time.sleep(0.05)
        made.append(threading.get_ident())
        return 7

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(shared.get("table", "a", make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [7] * 4
    assert len(made) == 1


def test_the_oldest_goes_before_the_next_is_made():
    shared, alive = Shared(), set()

    class Fold:
        def __init__(self, name: str) -> None:
            assert not alive, "two folds in memory"
            self.name = name
            alive.add(name)

        def __del__(self) -> None:
            alive.discard(self.name)

    for name in "abc":
        assert shared.get("fold", name, lambda name=name: Fold(name)).name == name
    assert alive == {"c"}
    shared.forget("fold")
    assert not alive


def test_kinds_do_not_push_each_other_out():
    shared = Shared()
    shared.get("table", "a", lambda: 1)
    shared.get("fold", "a", lambda: 2)
    assert shared.get("table", "a", lambda: 3) == 1


def test_making_one_thing_may_ask_for_another():
    shared = Shared()
    assert shared.get("fold", "0", lambda: shared.get("table", "", lambda: 1) + 1) == 2


def test_a_failure_is_not_kept():
    shared, tries = Shared(), []

    def make() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("the first time")
        return 5

    with contextlib.suppress(ValueError):
        shared.get("table", "a", make)
    assert shared.get("table", "a", make) == 5
