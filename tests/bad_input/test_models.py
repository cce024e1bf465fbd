"""Bad model files in a finished run, tried by `fusionnetx predict`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.bad_input.bench import Bench, Row, chosen
from tests.bad_input.of_runs import damaged, flipped, holding, pickled, vouch_for, vouched
from tests.damage import cut, edit

MODEL = "oof/narrow/fold_0/model.safetensors"
WHOLE = "is not finished or not whole"
NOT_READ = ("narrow/fold_0/model.safetensors cannot be read", "train that fold again")


def tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], object]:
    """A safetensors file with other tensors and no header of this project."""
    return lambda path: save_file(change(load_file(path)), path)


def header(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """A safetensors file with another description of itself."""

    def apply(path: Path) -> None:
        whole = path.read_bytes()
        size = int.from_bytes(whole[:8], "little")
        told = json.loads(whole[8 : 8 + size])
        change(told)
        said = json.dumps(told).encode()
        path.write_bytes(len(said).to_bytes(8, "little") + said + whole[8 + size :])

    return apply


def own(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """A safetensors file with another header of this project's."""

    def apply(told: dict[str, Any]) -> None:
        said = json.loads(told["__metadata__"]["fusionnetx"])
        change(said)
        told["__metadata__"]["fusionnetx"] = json.dumps(said)

    return header(apply)


def no_numbers(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name: torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor
        for name, tensor in found.items()
    }


def another_shape(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = next(name for name in found if found[name].ndim)
    return {**found, name: torch.cat([found[name], found[name]])}


def of_another_network(b: Bench) -> None:
    shutil.copy(b.run / "oof/wide/fold_0/model.safetensors", b.run / MODEL)
    vouch_for(b.run / MODEL)


MODELS = [
    Row("a model cut short", damaged(MODEL, cut), (WHOLE, "oof/narrow/fold_0/model.safetensors is damaged")),
    Row(
        "a model with one bit flipped",
        damaged(MODEL, flipped),
        (WHOLE, "model.safetensors is damaged (its checksum differs)"),
    ),
    Row("a model missing", damaged(MODEL, Path.unlink), (WHOLE, "model.safetensors is missing")),
    Row("a model cut short, vouched for", vouched(MODEL, cut), NOT_READ),
    Row("a model of zero bytes", vouched(MODEL, holding(bytes)), NOT_READ),
    Row("a model of text", vouched(MODEL, holding(lambda: b"weights\n" * 99)), NOT_READ),
    Row("a pickle named model.safetensors", vouched(MODEL, holding(pickled)), NOT_READ),
    Row(
        "a torch file named model.safetensors", vouched(MODEL, lambda p: torch.save({"w": torch.zeros(3)}, p)), NOT_READ
    ),
    Row(
        "a header of 2**60 bytes",
        vouched(MODEL, lambda p: edit(p, lambda w: (2**60).to_bytes(8, "little") + w[8:])),
        NOT_READ,
    ),
    Row(
        "a header nested 10,000 deep",
        vouched(MODEL, header(lambda t: t["__metadata__"].update(fusionnetx="[" * 10_000))),
        NOT_READ,
    ),
    Row(
        "a header that is a list",
        vouched(MODEL, header(lambda t: t["__metadata__"].update(fusionnetx="[1]"))),
        NOT_READ,
    ),
    Row("a description that is a number", vouched(MODEL, own(lambda s: s.update(model=3))), NOT_READ),
    Row(
        "a description of another network",
        vouched(MODEL, own(lambda s: s["model"].update(hidden=5))),
        ("is of another network: hidden 5 (the recipe says 4)",),
    ),
    Row("a model of another recipe", of_another_network, ("is of another network: hidden 16 (the recipe says 4)",)),
    Row(
        "tensors of another shape",
        vouched(MODEL, tensors(another_shape)),
        ("does not fit the recipe's network", "of another shape"),
    ),
    Row(
        "tensors missing",
        vouched(MODEL, tensors(lambda t: dict(list(t.items())[1:]))),
        ("does not fit the recipe's network", "1 missing"),
    ),
    Row(
        "tensors too many",
        vouched(MODEL, tensors(lambda t: {**t, "more": torch.zeros(1)})),
        ("does not fit the recipe's network", "1 unknown (more)"),
    ),
    Row(
        "weights that are no numbers",
        vouched(MODEL, tensors(no_numbers)),
        ("narrow gives no number for 10 of 10 lesions", "damaged"),
    ),
]


@pytest.mark.parametrize("row", chosen(MODELS), ids=lambda row: row.name)
def test_models(bench: Bench, row: Row) -> None:
    bench.predict(row)
