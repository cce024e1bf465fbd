"""The benchmark of stage one runs; what it measures is not judged here."""

import argparse
import json
import sys

import pytest
import torch

from benchmarks import stage_one
from benchmarks.beside import whole_stage


def test_it_runs_and_compares_every_pair(tmp_path, monkeypatch, capsys, single_threaded):
    monkeypatch.setattr(sys, "argv", ["stage_one", "--small", "--workers", "0", "--json", str(tmp_path / "found.json")])
    stage_one.main()
    found = json.loads((tmp_path / "found.json").read_text())["results"]
    assert [row["name"] for row in found if not row["ours"] > 0] == []
    assert len(found) == 5
    assert "lesion_net at 32 px" in capsys.readouterr().out


def test_what_it_measures_is_the_default_way(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stage_one"])
    assert stage_one.asked().resident == "auto"
    monkeypatch.setattr(sys, "argv", ["stage_one", "--small", "--batch", "4"])
    options = stage_one.asked()
    assert (options.size, options.batch) == (32, 4)
    assert isinstance(options, argparse.Namespace)


def test_our_loader_gives_pixels_and_shares_on_the_device(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stage_one", "--small"])
    stage = stage_one.Stage(stage_one.asked(), tmp_path)
    pixels, shares = next(stage.ours(torch.device("cpu")))
    assert (pixels.shape, shares.shape) == ((8, 3, 32, 32), (8, 2))


@pytest.mark.slow
def test_both_ways_are_slowed_down_beside_a_busy_program(tmp_path, monkeypatch, capsys):
    found = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", ["stage_one", "--busy", "1", "--small", "--json", str(found)])
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    stage_one.main()
    ours, other = json.loads(found.read_text())["results"]
    assert (ours["name"], other["name"]) == (
        "ours: 2 models at once, a thread each",
        "one after the other, 2 threads",
    )
    assert all(way["quiet"] > 0 and way["crowded"] > 0 and way["times slower"] > 0 for way in (ours, other))
    assert "times slower" in capsys.readouterr().out


def test_the_whole_stage_is_compared_on_the_same_data(tmp_path, monkeypatch):
    asked = []
    seconds = iter([9.0, 100.0, 60.0])

    def taken(folder, run, changes):
        asked.append((folder, run, changes))
        return next(seconds)

    monkeypatch.setattr(whole_stage, "stage_one", taken)
    found = whole_stage.measure(tmp_path, ["seed=1"])
    assert (found["ours"], found["one after the other"], found["ratio"]) == (60.0, 100.0, 1.67)
    assert {folder for folder, _, _ in asked} == {tmp_path}
    assert asked[1][2] == ("seed=1", *whole_stage.ONE_AFTER_THE_OTHER)
    assert asked[2][2] == ["seed=1"]
