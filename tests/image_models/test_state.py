import json
import logging
import os

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from image_models.tensor_file import CHECKSUM, read_header, read_tensors, require_intact, write_tensors
from image_models.training.state import load_state, save_state, taken_from, under
from tests.time_limit import no_longer_than

KEY = {"fingerprint": "abc", "seed": 2**63 + 1}


def test_tensors_of_every_kind_come_back_to_the_bit(tmp_path):
    maps = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    tensors = {
        "maps": maps,
        "tied": maps,
        "part": torch.arange(10)[::2],
        "scalar": torch.tensor(7, dtype=torch.int64),
        "small": torch.randn(5).to(torch.bfloat16),
        "empty": torch.zeros(0),
    }
    position = {"loss": 0.1 + 0.2, "tiny": 5e-324, "none": None, "text": "läsion"}
    save_state(tmp_path / "s", KEY, tensors, position)
    found, where = load_state(tmp_path / "s", KEY) or pytest.fail("not found")
    assert where == position
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_only_the_state_of_this_fit_is_loaded(tmp_path):
    assert load_state(tmp_path / "s", KEY) is None
    save_state(tmp_path / "s", KEY, {"a": torch.ones(1)}, {})
    assert load_state(tmp_path / "s", KEY) is not None
    assert load_state(tmp_path / "s", {**KEY, "seed": 3}) is None
    write_tensors(tmp_path / "s", {"a": torch.ones(1)}, {})
    assert load_state(tmp_path / "s", KEY) is None


def test_what_is_no_file_of_ours_is_neither_waited_for_nor_read_to_its_end(tmp_path, caplog):
    path = tmp_path / "s"
    for make in (lambda: os.mkfifo(path), lambda: path.symlink_to("/dev/zero"), lambda: os.truncate(path, 2**37)):
        path.unlink(missing_ok=True)
        if "truncate" in make.__code__.co_names:
            save_state(path, KEY, {"a": torch.ones(1)}, {})
        make()
        with no_longer_than(2), caplog.at_level(logging.WARNING):
            assert load_state(path, KEY) is None
        assert "cannot be read" in caplog.text
        caplog.clear()


def test_damaged_files_are_not_loaded(tmp_path):
    path = tmp_path / "s"
    save_state(path, KEY, {"a": torch.ones(100)}, {})
    whole = path.read_bytes()
    for damaged in (b"", b"hello", whole[:20], whole[:-1]):
        path.write_bytes(damaged)
        assert load_state(path, KEY) is None


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_noticed_and_said(tmp_path, caplog, where, bit):
    path = tmp_path / "s"
    if not path.exists():
        save_state(path, KEY, {"a": torch.randn(30), "b": torch.arange(5)}, {"step": 3, "loss": 0.25})
        (tmp_path / "whole").write_bytes(path.read_bytes())
    damaged = bytearray((tmp_path / "whole").read_bytes())
    damaged[int(where * len(damaged))] ^= 1 << bit
    path.write_bytes(damaged)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert load_state(path, KEY) is None
    assert "cannot be read" in caplog.text
    path.write_bytes((tmp_path / "whole").read_bytes())
    assert load_state(path, KEY) is not None


def test_a_forged_state_needs_its_checksum_made_anew(tmp_path):
    save_state(tmp_path / "s", KEY, {"a": torch.ones(4)}, {"step": 3})
    save_state(tmp_path / "t", KEY, {"a": torch.zeros(4)}, {"step": 3})
    one, other = (tmp_path / "s").read_bytes(), (tmp_path / "t").read_bytes()
    (tmp_path / "s").write_bytes(one[:-16] + other[-16:])
    assert load_state(tmp_path / "s", KEY) is None
    with pytest.raises(ValueError, match="its checksum differs"):
        require_intact(tmp_path / "s")


def test_a_state_of_an_earlier_version_is_not_believed(tmp_path, caplog):
    from safetensors.torch import save_file

    header = json.dumps({"key": {**KEY, "layout": 1}, "position": {"step": 3}})
    save_file({"a": torch.ones(1)}, tmp_path / "s", metadata={"fusionnetx": header})
    assert load_state(tmp_path / "s", KEY) is None
    assert "carries no checksum" in caplog.text


def test_replacing_a_state_leaves_nothing_else_behind(tmp_path):
    for value in range(3):
        save_state(tmp_path / "s", KEY, {"a": torch.full((4,), float(value))}, {"step": value})
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert read_tensors(tmp_path / "s")["a"].tolist() == [2.0] * 4


def test_header_is_json_in_the_file_itself(tmp_path):
    write_tensors(tmp_path / "s", {"a": torch.ones(1)}, {"classes": 2})
    with safe_open(tmp_path / "s", framework="np") as file:
        header = json.loads(file.metadata()["fusionnetx"])
    assert len(header.pop(CHECKSUM)) == 64
    assert header == {"classes": 2}
    assert read_header(tmp_path / "s") == {"classes": 2}


def test_prefixes():
    tensors = {**under("model", {"a/b": torch.ones(1)}), **under("models", {"c": torch.zeros(1)})}
    assert list(taken_from("model", tensors)) == ["a/b"]
