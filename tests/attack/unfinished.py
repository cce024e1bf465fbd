"""Runs that were stopped, for attacks on what they go on from: saved states of networks, journals of searches."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import Interrupted
from pipeline.display import Display

STATES = ("last.safetensors", "study.journal")
STEPS = 1
"""Looks at a wish to stop before there is one."""


def stopped_in_training(finished: Path, run: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run whose first two fold models of one network were stopped in mid-training."""
    shutil.copytree(finished, run)
    folders = [run / "oof" / "narrow" / f"fold_{fold}" for fold in (0, 1)]
    for folder in folders:
        whole = folder.rename(folder.with_name("whole"))
        left = STEPS

        def stop(folder: Path = folder) -> None:
            nonlocal left
            left -= folder.is_dir()
            if left < 0:
                raise Interrupted(143)

        with monkeypatch.context() as patched:
            patched.setattr(Display, "check_stop", lambda _display, stop=stop: stop())
            assert cli("oof", "--run", run).code == 143
        assert [path.name for path in folder.iterdir()] == [STATES[0]], list(folder.iterdir())
        aside = folder.rename(run / f"stopped_{folder.name}")
        whole.rename(folder)
        assert aside.is_dir()
    for folder in folders:
        shutil.rmtree(folder)
        (run / f"stopped_{folder.name}").rename(folder)
    return run


def searching(raw: dict[str, Any]) -> None:
    """Of a recipe: one booster without images, and a search of three trials for each fold."""
    raw["image_models"] = []
    raw["tabular"]["members"] = raw["tabular"]["members"][:1]
    raw["tabular"]["tune"] = {"trials": 3, "spaces": {"lightgbm": {"num_leaves": {"low": 2, "high": 31}}}}


def stopped_in_a_search(finished: Path, run: Path) -> Path:
    """A finished run whose searches for two folds were killed in the second trial."""
    shutil.copytree(finished, run)
    for fold in (0, 1):
        folder = run / "tabular" / "lightgbm_metadata" / "tuning" / f"fold_{fold}"
        for path in folder.iterdir():
            if path.name != STATES[1]:
                path.unlink()
        lines = (folder / STATES[1]).read_bytes().splitlines(keepends=True)
        second = next(place for place, line in enumerate(lines) if ends_a_trial(line)) + 2
        assert second < len(lines) - 2
        (folder / STATES[1]).write_bytes(b"".join(lines[:second]))
    return run


def ends_a_trial(line: bytes) -> bool:
    """Whether a line of a journal holds a trial's value."""
    return bool(json.loads(line.partition(b" ")[2]).get("values"))
