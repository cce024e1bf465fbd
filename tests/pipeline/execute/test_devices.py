"""Processes that train image models together: the columns that one process writes, and one message when one fails."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import polars as pl
import psutil
import pytest

from data.errors import DataError, RecipeError, TrainingError
from image_models.training.distributed import Ranks
from pipeline.actions.opening import executor_named
from pipeline.execute.meeting import (
    FAILED,
    OVER,
    SECRET,
    Meeting,
    connection_lost,
    failure_from,
    hidden,
    meeting_place,
)

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


def followers(process):
    """The processes that the leading one has started."""
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "pipeline.execute.follow" in " ".join(child.cmdline())
    ]


def listening(process):
    """Addresses on which a process listens."""
    return {c.laddr.ip for c in psutil.Process(process).net_connections("tcp") if c.status == psutil.CONN_LISTEN}


def test_a_killed_process_is_one_message_and_nothing_is_listened_to_from_outside(recipe, start, tmp_path):
    devices = 3
    endless = ("--set", "image_models[*].epochs=5000", "--set", "image_models[*].checkpoint_seconds=0.001")
    leading = start("oof", "--recipe", recipe, "--run", tmp_path / "run", "--devices", devices, *endless)
    until = time.monotonic() + 200
    while not list(tmp_path.rglob("last.safetensors")):
        assert leading.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    others = followers(leading)
    assert len(others) == devices - 1
    heard = listening(leading.pid) | listening(others[0].pid)
    os.kill(others[0].pid, signal.SIGKILL)
    out, err = leading.communicate(timeout=120)
    assert leading.returncode == 2, (out, err)
    assert err.count("\n") == 1, err
    assert f"process 2 of {devices} ended by signal 9" in err
    assert "run again to go on" in err
    assert heard == {"127.0.0.1"}
    assert not any(other.is_running() and other.status() != psutil.STATUS_ZOMBIE for other in others)


def test_the_meeting_place_is_secret_and_on_this_machine_alone():
    from torch.distributed import TCPStore

    store, place = meeting_place(2)
    port = int(place["MASTER_PORT"])
    assert place["MASTER_ADDR"] == "127.0.0.1"
    assert {
        c.laddr.ip
        for c in psutil.Process().net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr.port == port
    } == {"127.0.0.1"}
    meeting = Meeting(Ranks(0, 2), 2, store, None, place[SECRET])
    store.set("what PyTorch keeps there", "x")
    stranger = TCPStore("127.0.0.1", port, 2, is_master=False)
    # The store tells anybody who connects what its keys are called, and so what they begin with.
    beginnings = {name[: -len("what PyTorch keeps there")] for name in stranger.list_keys()} | {""}
    assert len(beginnings) > 1
    for beginning in beginnings:
        for name in (FAILED, OVER):
            guesses = (name, hidden(beginning.rstrip("/"), name))
            for guess in (*guesses, *(f"{beginning}{guess}" for guess in guesses)):
                stranger.set(guess, json.dumps(["DataError", "a text of their own"]))
    assert meeting.failure() is None
    assert not meeting.over()
    meeting.report_failure(DataError("ours"))
    assert "ours" in str(meeting.failure())


def test_a_report_of_failure_is_an_error_of_ours_whatever_it_says():
    assert isinstance(failure_from(b'["DataError", "no"]'), DataError)
    for word in (b'["annotations", "x"]', b'["SystemExit", "x"]', b"[]", b"3", b"\xff", b'{"a": 1, "b": 2}'):
        assert isinstance(failure_from(word), TrainingError)


def test_a_lost_connection_is_told_from_a_mistake():
    assert connection_lost(RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1"))
    assert not connection_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not connection_lost(ValueError("gloo"))


def test_a_cluster_and_several_devices_are_refused():
    with pytest.raises(RecipeError, match="one process"):
        executor_named("ray", None, 2)
