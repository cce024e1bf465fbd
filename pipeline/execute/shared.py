"""Large things that the jobs of one process have in common: made once, by the first job that asks for them.

Jobs may ask from several threads; while one makes a thing, the others that want its kind wait.
"""

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Shared:
    """Keeps the newest few things of each kind."""

    def __init__(self) -> None:
        self._things: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._lock = threading.Lock()

    def get(self, kind: str, key: str, make: Callable[[], T], *, keep: int = 1) -> T:
        """The thing of that key, made if it is not there; at most `keep` of a kind are kept, the oldest go first."""
        with self._lock:
            own = self._locks[kind]
        with own:
            things = self._things[kind]
            if key not in things:
                # Before making, so that no more than `keep` are in memory together.
                while len(things) >= keep:
                    del things[next(iter(things))]
                things[key] = make()
            return cast(T, things[key])

    def forget(self, *kinds: str) -> None:
        """Let go of everything of some kinds."""
        for kind in kinds:
            self._things.pop(kind, None)
