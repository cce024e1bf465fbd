import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def when_named(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Do something right before a file gets its name: `when_named("oof/oof.parquet", act)`; once."""
    waiting: dict[str, Callable[[], object]] = {}
    replace = os.replace

    def watched(source: str | Path, target: str | Path) -> None:
        for name in [name for name in waiting if str(target).endswith(f"/{name}")]:
            waiting.pop(name)()
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    return waiting.__setitem__
