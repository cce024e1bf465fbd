"""The benchmark of stage one runs; what it measures is not judged here."""

import argparse
import json
import sys

import torch

from benchmarks import stage_one


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
