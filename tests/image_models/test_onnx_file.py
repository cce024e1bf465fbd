"""Every network that a shipped recipe names, as ONNX: the same answers as torch's, whatever the batch."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from image_models.networks.metadata_shape import MetadataShape
from image_models.networks.model_file import description
from image_models.networks.registries import FUSIONS
from image_models.networks.zoo import build
from image_models.onnx_file import write_onnx
from image_models.recipe import ImageModelRecipe
from image_models.training.augment import prepare, symmetries
from pipeline.export.onnx_network import symmetries as mirrored
from pipeline.recipe import load_recipe

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")

OWN = ("lesion_net", "lesion_vit", "custom_cnn", "none")
"""Backbones that are built in no time."""
QUICK = ("convnextv2_nano", "vit_tiny_patch16_224", "mobilenetv2_100", "tf_efficientnet_lite0")
"""Of the others, those of the quick form; `FUSIONNETX_ALL_SYSTEMS=1` (`make test-systems`) takes every one."""
EVERYTHING = bool(os.environ.get("FUSIONNETX_ALL_SYSTEMS"))


def shipped() -> list[ImageModelRecipe]:
    """One of each make, whatever it is called."""
    found = {}
    for path in sorted(Path("pipeline/recipes").glob("*.toml")):
        for model in load_recipe(path.stem).image_models:
            made = {**description(model, 2), "name": ""}
            found.setdefault(repr(made), dataclasses.replace(model, pretrained="none"))
    return list(found.values())


def shape_of(recipe: ImageModelRecipe) -> MetadataShape | None:
    """Two inputs for each column."""
    if not recipe.metadata.columns:
        return None
    columns = [name for name in recipe.metadata.columns for _ in range(2)]
    groups = tuple((2 * i, 2 * i + 1) for i in range(len(recipe.metadata.columns)))
    at = recipe.metadata.columns.index(recipe.site_column) if recipe.site_column else None
    return MetadataShape(tuple(columns), () if at is None else groups[at], groups)


def quartered(recipe: ImageModelRecipe) -> ImageModelRecipe:
    """Sides above 256 px a quarter as long: convolutions are the same at any."""
    if recipe.image_size <= 256:
        return recipe
    second = recipe.second_image_size and recipe.second_image_size // 4
    return dataclasses.replace(recipe, image_size=recipe.image_size // 4, second_image_size=second)


def is_taken(recipe: ImageModelRecipe) -> bool:
    return EVERYTHING or recipe.backbone.partition(".")[0] in QUICK


def as_named(recipe: ImageModelRecipe) -> str:
    return "-".join((recipe.backbone, recipe.second_backbone or "one", recipe.head, recipe.fusion or "no_fusion"))


def compare(recipe: ImageModelRecipe, side: int, path: Path, *, half: bool = False, classes: int = 2) -> float:
    """Largest difference of logits between torch and the file, on five lesions, written with two."""
    torch.manual_seed(0)
    shape = shape_of(recipe)
    network = build(recipe, classes, metadata=shape)
    rng = np.random.default_rng(1)
    channels = 3 * max(1, len(recipe.pictures))
    # Noise alone looks alike to whoever averages it: every lesion has a colour of its own, too.
    colour, noise = rng.integers(0, 256, (5, 1, 1, channels)), rng.integers(0, 256, (5, side, side, channels))
    images = ((colour + noise) // 2).astype(np.uint8)
    beside = None if shape is None else rng.normal(size=(5, shape.width)).astype(np.float32)
    pixels = None if recipe.backbone == "none" else prepare(torch.from_numpy(images), recipe.input_size)
    metadata = None if beside is None else torch.from_numpy(beside)
    with torch.no_grad():
        # Fresh networks answer nearly the same to everyone: heads are small, and signals die on their way through
        # layers whose batch statistics are still 0 and 1. These do not.
        for part in network.modules():
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                part.momentum = 1.0
        network.train()(pixels, metadata)
        network.eval()
        for name, parameter in network.named_parameters():
            if "classifier" in name and parameter.ndim > 1:
                parameter.mul_(5.0)
        write_onnx(network, recipe, side, path / "model.onnx", half=half)
        expected = network(pixels, metadata).numpy()
    session = onnxruntime.InferenceSession(str(path / "model.onnx"), providers=["CPUExecutionProvider"])
    given = {"images": images, "metadata": beside}
    found = session.run(None, {one.name: given[one.name] for one in session.get_inputs()})[0]
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    difference, spread = np.abs(found - expected).max(), np.abs(expected - expected[:1]).max()
    assert half or spread > 100 * difference, "networks that answer alike to everyone prove nothing"
    return float(difference / max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("recipe", [one for one in shipped() if one.backbone in OWN], ids=as_named)
def test_own_networks(recipe: ImageModelRecipe, tmp_path: Path):
    assert compare(recipe, recipe.image_size, tmp_path) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", [one for one in shipped() if one.backbone not in OWN and is_taken(one)], ids=as_named
)
def test_shipped_networks(recipe: ImageModelRecipe, tmp_path: Path):
    recipe = quartered(recipe)
    assert compare(recipe, recipe.image_size, tmp_path) < 1e-4


@pytest.mark.parametrize("fusion", list(FUSIONS))
def test_every_fusion(fusion: str, tmp_path: Path):
    base = next(one for one in shipped() if one.backbone == "lesion_net")
    metadata = dataclasses.replace(base.metadata, columns=("age", "sex", "site"), widths=(12, 8))
    sited = {"site_column": "site"} if fusion == "site_branches" else {}
    recipe = dataclasses.replace(base, head="auto", fusion=fusion, metadata=metadata, image_size=32, **sited)
    assert compare(recipe, 40, tmp_path, classes=3) < 1e-5


def test_images_are_brought_to_size_inside_the_file_and_half_stays_near(tmp_path: Path):
    base = dataclasses.replace(next(one for one in shipped() if one.backbone == "lesion_net"), image_size=32)
    for side in (20, 32, 75):
        assert compare(base, side, tmp_path) < 1e-5
    assert 1e-7 < compare(base, 32, tmp_path, half=True) < 0.02


@pytest.mark.parametrize("kind", ["none", "flips", "dihedral"])
def test_views_are_those_of_torch(kind):
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    theirs = [
        view.permute(0, 2, 3, 1).numpy() for view in symmetries(torch.from_numpy(images).permute(0, 3, 1, 2), kind)
    ]
    for ours, expected in zip(mirrored(images, kind), theirs, strict=True):
        np.testing.assert_array_equal(ours, expected)
