"""The check of a graphics card runs to its end on a processor, without the packages that it says it does not need."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_check import __main__ as command
from benchmarks.gpu_check import roster
from benchmarks.gpu_check.__main__ import markdown
from benchmarks.gpu_check.setting import Found, Line, Setting, made_up

ABSENT = ("polars", "pandas", "pyarrow", "pydantic", "sklearn", "h5py", "rich", "typer", "cv2", "tabular", "features")
ROOT = Path(__file__).parents[2]
SMALL = Setting(torch.device("cpu"), small=True)


@pytest.mark.slow
def test_it_runs_on_a_processor_with_image_models_and_data_alone(tmp_path):
    absent = f"import sys; sys.modules.update(dict.fromkeys({(*ABSENT, 'pipeline')!r}))"
    started = "import runpy; runpy.run_module('benchmarks.gpu_check', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", f"{absent}; {started}", "--small", "--device", "cpu", "--out", str(tmp_path / "found")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert [name for name in ("waiting", "reserved") if found[name]["nothing"] != "needs a CUDA device"] == []
    assert found["agreement"]["fp32"]["losses_apart"] == found["agreement"]["bf16"]["losses_apart"] == 0
    assert all(line["good"] is not False for name in ("card", "steps", "asking") for line in found[name]["lines"])
    assert found["roster"]["together_s"] > 0
    assert set(found["together"]["steps_per_second"]) == {"1", "2"}
    table = (tmp_path / "found.md").read_text()
    assert "| waiting | needs a CUDA device |" in table
    assert "small: the figures mean nothing" in table


def test_the_roster_is_that_of_the_recipe_and_counted_by_training_itself():
    models = {model.name: model for model in Setting(torch.device("cpu"), small=False).roster()}
    assert list(models) == ["convnextv2_nano", "vit_tiny", "vit_tiny_relabelled", "vit_small_relabelled"]
    assert len(Setting(torch.device("cpu"), small=False).networks()) == 3
    # Four fifths of the positives and as many negatives, in batches of 32, 30 times, for each of five folds.
    assert roster.counted(models["vit_tiny"]).steps == 5 * 30 * 20
    assert roster.counted(models["vit_tiny_relabelled"]).steps == 5 * 30 * 54


def test_a_section_that_fails_is_said_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def broken(setting, found):
        raise RuntimeError("no such kernel\nmore")

    def fine(setting, found):
        return Found({"figure": 1}, [Line("fine", "1", "1", True)])

    Section = command.Section
    sections = (Section("broken", broken), Section("on it", fine, rests_on=("broken",)), Section("fine", fine))
    monkeypatch.setattr(command, "SECTIONS", sections)
    assert not command.check(SMALL, tmp_path / "found")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["broken"] == {"nothing": "failed: RuntimeError: no such kernel"}
    assert found["on it"] == {"nothing": "left out: rests on broken"}
    assert found["fine"]["figure"] == 1
    monkeypatch.setattr(command, "SECTIONS", sections[2:])
    assert command.check(SMALL, tmp_path / "found")
    monkeypatch.setattr(command, "MOST_SECONDS", -1.0)
    assert not command.check(SMALL, tmp_path / "found")


def test_the_table_says_what_is_met():
    lines = [Line("a", "1", "2", True), Line("b", "3", "2", False), Line("c", "4")]
    assert markdown("t", lines).splitlines()[4:] == ["| a | 1 | 2 | yes |", "| b | 3 | 2 | **no** |", "| c | 4 |  |  |"]


def test_made_up_lesions_can_be_told_apart():
    lesions = made_up(20, 32, different=8)
    assert len(lesions) == 20
    assert lesions.images[1, 6, 6, 0] == lesions.images[9, 6, 6, 0] == 255
    assert lesions.images[:, 6, 6, 0].tolist().count(255) == 10
