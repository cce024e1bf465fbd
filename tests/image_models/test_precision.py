import json

import pytest
import torch
from torch import nn

import image_models.precision
from image_models.networks.zoo import build
from image_models.precision import autocast, choose_precision, cpu_seconds_per_step

pytestmark = pytest.mark.usefixtures("single_threaded")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


GENERATIONS = [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16"), ((7, 0), "fp16"), ((6, 0), "fp32")]


@pytest.mark.parametrize(("capability", "precision"), GENERATIONS)
def test_gpus_by_generation(toy_recipe, monkeypatch, capability, precision):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision(toy_recipe(), CUDA, nn.Identity()) == precision
    assert choose_precision(toy_recipe(precision="fp32"), CUDA, nn.Identity()) == "fp32"


def test_cpus_compute_in_fp32_unless_told_or_measured(toy_recipe, tmp_path, monkeypatch):
    assert choose_precision(toy_recipe(), CPU, nn.Identity()) == "fp32"
    assert choose_precision(toy_recipe(precision="bf16"), CPU, nn.Identity()) == "bf16"
    monkeypatch.setattr(image_models.precision, "cpu_has_bf16_units", lambda: False)
    assert choose_precision(toy_recipe(), CPU, nn.Identity(), cache_dir=tmp_path) == "fp32"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"fp32": 2.0, "bf16": 1.0}, "bf16"),
        ({"fp32": 1.05, "bf16": 1.0}, "fp32"),
        ({"fp32": 1.0, "bf16": float("inf")}, "fp32"),
    ],
)
def test_a_measurement_is_made_once_and_then_obeyed(toy_recipe, tmp_path, monkeypatch, seconds, expected):
    calls: list[int] = []

    def measure(*arguments: object) -> dict[str, float]:
        calls.append(1)
        return seconds if len(calls) == 1 else {"fp32": seconds["bf16"], "bf16": seconds["fp32"]}

    monkeypatch.setattr(image_models.precision, "cpu_has_bf16_units", lambda: True)
    monkeypatch.setattr(image_models.precision, "cpu_seconds_per_step", measure)
    for _ in range(3):
        assert choose_precision(toy_recipe(), CPU, nn.Identity(), cache_dir=tmp_path) == expected
    assert len(calls) == 1
    (path,) = (tmp_path / "cpu_precision").iterdir()
    assert json.loads(path.read_text())["precision"] == expected
    choose_precision(toy_recipe(image_size=64), CPU, nn.Identity(), cache_dir=tmp_path)
    assert len(calls) == 2


def test_of_two_processes_that_measure_the_first_to_write_is_obeyed(toy_recipe, tmp_path, monkeypatch):
    def measure_while_another_finishes(*arguments: object) -> dict[str, float]:
        monkeypatch.setattr(image_models.precision, "cpu_seconds_per_step", lambda *a: {"fp32": 2.0, "bf16": 1.0})
        choose_precision(toy_recipe(), CPU, nn.Identity(), cache_dir=tmp_path)
        return {"fp32": 1.0, "bf16": 2.0}

    monkeypatch.setattr(image_models.precision, "cpu_has_bf16_units", lambda: True)
    monkeypatch.setattr(image_models.precision, "cpu_seconds_per_step", measure_while_another_finishes)
    assert choose_precision(toy_recipe(), CPU, nn.Identity(), cache_dir=tmp_path) == "bf16"
    assert len(list((tmp_path / "cpu_precision").iterdir())) == 1


def test_measuring_leaves_the_model_as_it_was(toy_recipe):
    recipe = toy_recipe(batch_size=2)
    model = build(recipe, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    seconds = cpu_seconds_per_step(model, recipe, repeats=1)
    assert seconds["fp32"] > 0
    assert seconds["bf16"] > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_network_without_bf16_kernels_is_measured_in_fp32_alone(toy_recipe):
    class Picky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 1, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            values = self.layer(images)
            if values.dtype == torch.bfloat16:
                raise RuntimeError("not implemented for 'BFloat16'")
            return values.mean((2, 3))

    seconds = cpu_seconds_per_step(Picky(), toy_recipe(batch_size=2), repeats=1)
    assert seconds["bf16"] == float("inf") > seconds["fp32"]


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_autocast_computes_in_its_format(precision, dtype):
    with autocast(precision, CPU):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype
