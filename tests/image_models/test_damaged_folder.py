"""A fold's folder with a flipped bit in it: training begins anew and ends with the model of an undisturbed fit."""

import dataclasses
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import Interrupted
from image_models.tensor_file import read_header, read_tensors, write_tensors
from image_models.training.train import FoldTask, Places, train_fold

ROWS = np.arange(48)


@pytest.fixture(autouse=True)
def _alone(single_threaded):
    """The toy network gains nothing from threads."""


def fit(folder: Path, recipe, lesions, stop: int = 0):
    """Train a fold, interrupted after some step."""

    def listen(done: int, total: int, **figures: float) -> None:
        if done == stop:
            raise Interrupted(130)

    task = FoldTask(recipe, lesions, ROWS, seed=7, fingerprint="f")
    return train_fold(task, Places(folder), device="cpu", progress=listen).report


def flip(path: Path, where: float, bit: int = 3) -> None:
    """Flip a bit at some place of a file, 0 its start and 1 its end."""
    content = bytearray(path.read_bytes())
    content[min(int(where * len(content)), len(content) - 1)] ^= 1 << bit
    path.write_bytes(content)


def test_a_flipped_bit_of_a_saved_state_never_ends_in_another_model(tmp_path, toy_lesions, toy_recipe, caplog):
    lesions, recipe = toy_lesions(), toy_recipe(epochs=1)
    fit(tmp_path / "whole", recipe, lesions)
    with pytest.raises(Interrupted):
        fit(tmp_path / "cut", recipe, lesions, stop=2)
    state = (tmp_path / "cut" / "last.safetensors").read_bytes()
    # In the length, the key, the position, the names of tensors, weights, the optimiser's moments, the last byte.
    for where in (0.0, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 1.0):
        folder = tmp_path / f"flipped at {where}"
        folder.mkdir()
        (folder / "last.safetensors").write_bytes(state)
        flip(folder / "last.safetensors", where)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert fit(folder, recipe, lesions).resumed_at_step is None
        assert "last.safetensors cannot be read" in caplog.text
        assert (folder / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


FORGED = {
    "no position": lambda header, tensors: header.pop("position"),
    "no fit": lambda header, tensors: header["position"].pop("fit"),
    "no tally": lambda header, tensors: header["position"]["state"].pop("tally"),
    "no step": lambda header, tensors: header["position"]["state"]["tally"].pop("step"),
    "a step too far": lambda header, tensors: header["position"]["state"]["tally"].update(step=2**63),
    "a loss that is text": lambda header, tensors: header["position"]["state"]["tally"].update(loss_sum="x"),
    "curves that are none": lambda header, tensors: header["position"].update(curves="none"),
    "a weight less": lambda header, tensors: tensors.pop(next(n for n in tensors if n.startswith("model/"))),
    "a moment less": lambda header, tensors: tensors.pop("optimiser/0.exp_avg"),
    "a step of another type": lambda header, tensors: tensors.update({"optimiser/0.step": torch.zeros(3).half()}),
    "all moments of a weight less": lambda header, tensors: [
        tensors.pop(f"optimiser/0.{name}") for name in ("step", "exp_avg", "exp_avg_sq")
    ],
    "a moment that is no number": lambda header, tensors: tensors["optimiser/0.exp_avg"].fill_(math.nan),
    "moments of another type": lambda header, tensors: tensors.update(
        {"optimiser/0.exp_avg": tensors["optimiser/0.exp_avg"].double()}
    ),
    "no count of batches": lambda header, tensors: tensors.pop(
        next(name for name in tensors if name.endswith("num_batches_tracked"))
    ),
    "a weight more": lambda header, tensors: tensors.update({"model/extra": torch.zeros(3)}),
    "weights of another type": lambda header, tensors: tensors.update(
        {name: tensor.half() for name, tensor in tensors.items() if name.endswith("running_mean")}
    ),
    "statistics that are no numbers": lambda header, tensors: [
        tensor.fill_(math.nan) for name, tensor in tensors.items() if name.endswith("running_var")
    ],
    "best weights of another network": lambda header, tensors: tensors.update({"best/x": torch.zeros(3)}),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_state_that_does_not_fit_is_said_and_training_begins_anew(
    tmp_path, toy_lesions, toy_recipe, caplog, what
):
    lesions, recipe, path = toy_lesions(), toy_recipe(epochs=1), tmp_path / "last.safetensors"
    with pytest.raises(Interrupted):
        fit(tmp_path, recipe, lesions, stop=2)
    header, tensors = read_header(path), read_tensors(path)
    FORGED[what](header, tensors)
    write_tensors(path, tensors, header)
    with caplog.at_level(logging.WARNING):
        assert fit(tmp_path, recipe, lesions).resumed_at_step is None
    assert "starting anew" in caplog.text


@pytest.mark.parametrize("name", ["model.safetensors", "training.json"])
@pytest.mark.parametrize("where", [0.3, 0.6, 1.0])
def test_a_finished_fit_is_taken_up_only_as_it_was_written(tmp_path, toy_lesions, toy_recipe, name, where):
    lesions, recipe = toy_lesions(), toy_recipe(epochs=1)
    first = fit(tmp_path, recipe, lesions)
    model = (tmp_path / "model.safetensors").read_bytes()
    assert fit(tmp_path, recipe, lesions) == first
    flip(tmp_path / name, where, bit=0)
    again = fit(tmp_path, recipe, lesions)
    timeless = [[dataclasses.replace(e, seconds=0, images_per_second=0) for e in r.epochs] for r in (first, again)]
    assert timeless[0] == timeless[1]
    assert (tmp_path / "model.safetensors").read_bytes() == model
