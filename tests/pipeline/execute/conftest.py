import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.execute import order
from pipeline.runtime import Runtime


@pytest.fixture
def worker_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A scratch folder of its own; jobs change the working folder, and a worker remembers."""
    monkeypatch.setenv("FUSIONNETX_SCRATCH", str(tmp_path / "scratch"))
    here = Path.cwd()
    monkeypatch.setattr(Runtime, "threads", 1)
    yield
    os.chdir(here)
    order._kept.clear()
