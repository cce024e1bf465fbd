"""Cards that PyTorch has no code for, or cannot see; told by what PyTorch would say of them."""

import logging
import shutil
from pathlib import Path

import pytest
import torch

from data.errors import TrainingError
from image_models import gpu
from image_models.device import choose_device, fastest_convolutions
from image_models.precision import goes_on_in

WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
P100, V100, T4, A100, L4, H200, B200, RTX_5090 = (6, 0), (7, 0), (7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (12, 0)


@pytest.mark.parametrize(
    ("kernels", "runs", "fails"),
    [
        (WHEEL, [T4, A100, L4, H200, B200, RTX_5090], [P100, V100, (11, 0)]),
        (["sm_50", "sm_60", "sm_70"], [P100, V100, T4, (6, 1)], [A100, (3, 5)]),
        (["sm_90a"], [H200], [A100, (9, 1)]),
        (["sm_100f"], [B200, (10, 3)], [RTX_5090]),
        (["sm_86", "compute_86"], [(8, 6), L4, H200, RTX_5090], [T4, A100]),
        (["gfx90a", "gfx1100"], [(9, 0), (11, 0)], []),
    ],
)
def test_which_cards_a_build_has_kernels_for(kernels, runs, fails):
    assert [card for card in runs if not gpu.runs_on(card, kernels)] == []
    assert [card for card in fails if gpu.runs_on(card, kernels)] == []


@pytest.fixture
def card(monkeypatch):
    """A machine with a card of some capability."""

    def put(capability):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: WHEEL)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla P100-PCIE-16GB")

    return put


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_a_card_without_kernels_is_refused_with_the_remedy(card, name):
    card(P100)
    with pytest.raises(
        TrainingError, match=r"no kernels for Tesla P100-PCIE-16GB \(compute capability 6\.0\)"
    ) as caught:
        choose_device(name)
    for part in ("sm_75, sm_80", "older CUDA", "T4 x2", "CUDA_VISIBLE_DEVICES="):
        assert part in str(caught.value)
    card(T4)
    assert choose_device(name).type == "cuda"


@pytest.fixture
def unseen(monkeypatch, caplog):
    """What `auto` says where PyTorch finds no GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def said(visible=None, device_file=True, program=False):
        gpu.warn_of_unseen_gpu.cache_clear()
        caplog.clear()
        monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter([folder / "nvidia0"] if device_file else []))
        monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if program else None)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        with caplog.at_level(logging.WARNING):
            assert choose_device("auto") == choose_device("auto") == torch.device("cpu")
        return caplog.messages

    yield said
    gpu.warn_of_unseen_gpu.cache_clear()


def test_a_card_that_torch_cannot_see_is_told_of_once(unseen):
    for found in (unseen(), unseen(device_file=False, program=True), unseen(visible="0")):
        (message,) = found
        assert "has an NVIDIA graphics card, but PyTorch" in message
        assert "on the CPU" in message


def test_no_card_or_a_hidden_one_is_not_worth_a_word(unseen):
    assert unseen(device_file=False) == []
    assert unseen(visible="") == unseen(visible="-1") == []


def test_a_device_that_is_asked_for_by_name_is_what_was_meant(unseen, caplog):
    unseen(device_file=False)
    gpu.warn_of_unseen_gpu.cache_clear()
    choose_device("cpu")
    assert caplog.messages == []


def test_cudnn_may_try_its_algorithms_and_keeps_the_caller_s_settings(monkeypatch):
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "deterministic", True)
    before = cudnn.benchmark
    with fastest_convolutions(torch.device("cuda")):
        assert cudnn.benchmark
        assert cudnn.deterministic
    with fastest_convolutions(torch.device("cpu")):
        assert cudnn.benchmark == before
    assert cudnn.benchmark == before


@pytest.mark.parametrize(
    ("precision", "begun_on", "capability", "goes_on"),
    [
        ("bf16", "cuda", T4, False),
        ("bf16", "cuda", A100, True),
        ("bf16", "cpu", T4, False),
        ("fp16", "cuda", H200, True),
        ("fp32", "cpu", T4, True),
    ],
)
def test_a_fit_keeps_its_format_where_the_card_has_it(card, precision, begun_on, capability, goes_on):
    card(capability)
    assert goes_on_in(precision, begun_on, torch.device("cuda")) == goes_on


def test_on_a_cpu_a_format_of_gpus_is_kept_only_with_units_for_it(monkeypatch):
    cpu = torch.device("cpu")
    for units in (True, False):
        monkeypatch.setattr("image_models.precision.cpu_has_bf16_units", lambda units=units: units)
        assert goes_on_in("bf16", "cuda", cpu) is units
        assert goes_on_in("bf16", "cpu", cpu)  # as the fit began
        assert not goes_on_in("fp16", "cuda", cpu)
