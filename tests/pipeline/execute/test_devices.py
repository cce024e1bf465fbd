"""Processes that train image models together: the columns that one process writes, and one message when one fails."""

import socket
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from data.errors import RecipeError
from pipeline.actions.opening import executor_named

FAILING = """
import sys
import image_models.training.fit
from data.errors import TrainingError
from pipeline.execute.follow import follow

def step(self, shown):
    raise TrainingError("its memory is full")

image_models.training.fit.Fit._step = step
sys.exit(follow())
"""


@pytest.fixture
def recipe(variant):
    """One small transformer without dropout, for two folds."""

    def change(raw):
        raw["image_models"] = [{**raw["image_models"][0], "backbone": "lesion_vit", "dropout": 0.0}]
        raw["folds"]["count"] = 2
        raw["tabular"]["members"] = raw["tabular"]["members"][:1]

    return variant(change)


def test_two_processes_write_the_columns_of_one(recipe, cli, start, tmp_path):
    said = cli("oof", "--recipe", recipe, "--run", tmp_path / "one")
    assert said.code == 0, said
    process = start("oof", "--recipe", recipe, "--run", tmp_path / "two", "--devices", 2)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert err == ""
    assert out.count("narrow, fold") == said.out.count("narrow, fold")
    for name in ("oof.parquet", "test.parquet"):
        one, two = (pl.read_parquet(tmp_path / run / "oof" / name) for run in ("one", "two"))
        assert one["lesion_id"].to_list() == two["lesion_id"].to_list()
        assert one["narrow"].is_null().to_list() == two["narrow"].is_null().to_list()
        np.testing.assert_allclose(two["narrow"].fill_null(0), one["narrow"].fill_null(0), atol=2e-4)
    assert '"device": "2 x cpu"' in (tmp_path / "two" / "oof" / "narrow" / "fold_0" / "report.json").read_text()
    again = cli("oof", "--recipe", recipe, "--run", tmp_path / "two")
    assert "all 2 fold models are done" in again.out


def test_one_process_that_fails_ends_all_with_its_message(recipe, start, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    place |= {"TORCHELASTIC_RUN_ID": "none"}
    leading = start("oof", "--recipe", recipe, "--run", tmp_path / "run", **place, RANK="0", LOCAL_RANK="0")
    environment = {**place, "RANK": "1", "LOCAL_RANK": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", FAILING], env=environment, stderr=subprocess.PIPE, text=True) as other:
        err = leading.communicate(timeout=300)[1]
        assert other.communicate(timeout=60)[1] == ""
        assert other.returncode == 1
    assert leading.returncode == 2
    assert err.strip() == "error: process 2 of 2: image model narrow, fold 0: its memory is full"
    assert not list((tmp_path / "run").rglob("model.safetensors"))


def test_a_cluster_and_several_devices_are_refused():
    with pytest.raises(RecipeError, match="one process"):
        executor_named("ray", None, 2)
