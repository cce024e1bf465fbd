"""Pretrained weights from files; the network is never touched."""

import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from data.errors import RecipeError, TrainingError
from image_models.networks import weights
from image_models.networks.zoo import build, build_backbone
from image_models.recipe import ImageModelRecipe


def recipe(backbone: str, **changes: Any) -> ImageModelRecipe:
    return ImageModelRecipe(**{"name": "m", "backbone": backbone, "image_size": 64, **changes})


def saved(model: nn.Module, path: Path, **changes: Tensor) -> dict[str, Tensor]:
    """Write a model's tensors, some replaced, and return them."""
    state = {name: tensor.clone().contiguous() for name, tensor in {**model.state_dict(), **changes}.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path)
    return state


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Fail every download and remember what was asked for."""
    asked: list[tuple[Any, ...]] = []

    def refuse(*names: Any, **options: Any) -> dict[str, Tensor]:
        asked.append(names)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(weights, "load_state_dict_from_hf", refuse)
    return asked


def test_none_leaves_the_random_weights(tmp_path: Path) -> None:
    backbone = build_backbone(recipe("test_resnet", pretrained="none"))
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    weights.load_pretrained(backbone, recipe("test_resnet", pretrained="none"), tmp_path)
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())


@pytest.mark.parametrize(
    "backbone", ["test_resnet", "test_convnext", "test_vit", "test_efficientnet", "mobilenetv2_035"]
)
def test_a_whole_timm_file_loads_without_its_classifier(backbone: str, tmp_path: Path) -> None:
    state = saved(timm.create_model(backbone, num_classes=1000), tmp_path / "w.safetensors")
    size = 160 if backbone == "test_vit" else 64
    asked = recipe(backbone, pretrained=str(tmp_path / "w.safetensors"), image_size=size)
    loaded = build_backbone(asked)
    weights.load_pretrained(loaded, asked)
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())


def test_other_class_counts_and_half_precision_are_fine(tmp_path: Path) -> None:
    donor = timm.create_model("test_resnet", num_classes=1001).half()
    state = saved(donor, tmp_path / "w.safetensors")
    model = build(recipe("test_resnet", pretrained=str(tmp_path / "w.safetensors")), 2)
    weight = model.backbone.state_dict()["conv1.0.weight"]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, state["conv1.0.weight"].float())


@pytest.mark.parametrize(("backbone", "native"), [("test_vit", 160), ("cait_xxs24_224", 224)])
def test_position_embeddings_are_resized(backbone: str, native: int, tmp_path: Path) -> None:
    donor = timm.create_model(backbone)
    tokens = donor.pos_embed.shape[1]
    # A ramp over the rows must stay a ramp, whatever the grid: resizing has not mixed up its axes.
    side = int(tokens**0.5)
    ramp = torch.linspace(0, 1, side)[:, None].expand(side, side).flatten()
    with torch.no_grad():
        donor.pos_embed[0, tokens - side * side :] = ramp[:, None]
    saved(donor, tmp_path / "w.safetensors")
    asked = recipe(backbone, image_size=64, pretrained=str(tmp_path / "w.safetensors"))
    loaded = build_backbone(asked)
    weights.load_pretrained(loaded, asked)
    grid = loaded.pos_embed[0, loaded.pos_embed.shape[1] - 16 :, 0].view(4, 4).detach()
    assert (grid.diff(dim=0) > 0.1).all()
    assert grid.diff(dim=1).abs().max() < 1e-5


def test_the_norm_in_the_head_gets_its_pretrained_values(tmp_path: Path) -> None:
    donor = timm.create_model("test_convnext")
    nn.init.uniform_(donor.head.norm.weight)
    saved(donor, tmp_path / "w.safetensors")
    model = build(recipe("test_convnext", pretrained=str(tmp_path / "w.safetensors")), 2)
    assert torch.equal(model.norm.weight, donor.head.norm.weight)


@pytest.mark.parametrize("backbone", ["test_convnext", "test_vit", "lesion_net"])
def test_a_model_of_ours_starts_another(backbone: str, tmp_path: Path, caplog: Any) -> None:
    first = build(recipe(backbone, pretrained="none"), 2)
    saved(first, tmp_path / "w.safetensors")
    second = build(recipe(backbone, pretrained=str(tmp_path / "w.safetensors")), 7)
    for part in ("backbone", "norm"):
        state = getattr(second, part).state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in getattr(first, part).state_dict().items())
    assert "none of the lesions that it learned from may be scored" in caplog.text


def test_the_weights_folder_comes_before_the_network(tmp_path: Path, no_network: list[Any]) -> None:
    state = saved(timm.create_model("test_resnet"), tmp_path / "test_resnet.safetensors")
    model = build(recipe("test_resnet", pretrained="timm"), 2, weights_dir=tmp_path)
    assert torch.equal(model.backbone.state_dict()["conv1.0.weight"], state["conv1.0.weight"])
    assert no_network == []


def test_without_network_the_message_names_file_place_and_key(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        build(recipe("convnextv2_nano"), 2, weights_dir=tmp_path / "weights")
    message = str(caught.value)
    path = tmp_path / "weights" / "convnextv2_nano.safetensors"
    assert (
        f"get model.safetensors of hub repository timm/convnextv2_nano.fcmae_ft_in22k_in1k and put it at {path}"
        in message
    )
    assert "`pretrained` of image model 'm'" in message
    assert "ConnectionError" in message


def test_fetch_puts_hub_weights_where_build_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[Any]
) -> None:
    donor = timm.create_model("test_vit").state_dict()
    asked: list[tuple[Any, ...]] = []

    def hub(*names: Any, **options: Any) -> dict[str, Tensor]:
        asked.append(names)
        return dict(donor)

    monkeypatch.setattr(weights, "load_state_dict_from_hf", hub)
    path = weights.fetch(recipe("test_vit"), tmp_path)
    assert path == tmp_path / "test_vit.safetensors"
    assert asked == [("timm/test_vit.r160_in1k", "model.safetensors")]
    weights.fetch(recipe("test_vit"), tmp_path)
    assert len(asked) == 1
    model = build(recipe("test_vit", image_size=160), 2, weights_dir=tmp_path)
    assert torch.equal(model.backbone.state_dict()["cls_token"], donor["cls_token"])
    assert weights.fetch(recipe("test_vit", pretrained="none"), tmp_path) is None


def test_an_architecture_with_a_tag_has_a_file_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"timm/convnextv2_nano\.fcmae and put it at .*convnextv2_nano\.fcmae\.safetensors"
    ):
        build(recipe("convnextv2_nano.fcmae"), 2, weights_dir=tmp_path)


def test_backbones_without_weights_in_timm_say_so(tmp_path: Path) -> None:
    for backbone in ("lesion_net", "vit_huge_patch16_gap_448"):
        with pytest.raises(RecipeError, match='set pretrained = "none"'):
            weights.fetch(recipe(backbone), tmp_path)


def misfits(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Files that must not load, by name, with what the message must say."""
    whole = timm.create_model("test_resnet")
    name = "layer1.0.conv1.weight"
    saved(whole, tmp_path / "shape.safetensors", **{name: torch.zeros(2, 2)})
    state = saved(whole, tmp_path / "whole.safetensors", surprise=torch.zeros(1))
    missing = {key: tensor for key, tensor in state.items() if key not in (name, "surprise")}
    save_file(missing, tmp_path / "missing.safetensors")
    content = (tmp_path / "missing.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: len(content) // 2])
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04pickle")
    (tmp_path / "folder.safetensors").mkdir()
    saved(timm.create_model("test_vit"), tmp_path / "vit.safetensors")
    return {
        "shape": ("1 of another shape", f"{name} [2, 2] for ["),
        "whole": ("1 unknown", "surprise"),
        "missing": ("1 missing", name),
        "vit": ("does not fit 'test_resnet'", "more)"),
        "cut": ("not a whole safetensors file", "download the file again"),
        "pickle": ("not a whole safetensors file", "pickle.safetensors"),
        "folder": ("not a whole safetensors file", "folder.safetensors"),
        "absent": ("do not exist", "absent.safetensors"),
    }


def test_files_that_do_not_fit_are_refused_with_the_reason(tmp_path: Path) -> None:
    for name, parts in misfits(tmp_path).items():
        with pytest.raises(TrainingError) as caught:
            build(recipe("test_resnet", pretrained=str(tmp_path / f"{name}.safetensors")), 2)
        assert all(re.search(re.escape(part), str(caught.value)) for part in ("model 'm'", *parts)), caught.value


def test_a_file_for_another_kind_of_network_is_refused(tmp_path: Path) -> None:
    saved(timm.create_model("test_resnet"), tmp_path / "w.safetensors")
    for backbone in ("test_vit", "test_convnext", "lesion_net"):
        with pytest.raises(TrainingError, match=r"does not fit|is not for"):
            build(recipe(backbone, pretrained=str(tmp_path / "w.safetensors")), 2)


def test_folded_batch_norms_are_refused_unless_frozen(tmp_path: Path) -> None:
    """Training such layers silences the network: the loss stays at ln 2 and nothing says why."""
    backbone = timm.create_model("resnet10t", pretrained=False)
    norms = [name for name, module in backbone.named_modules() if isinstance(module, nn.BatchNorm2d)]
    shifted = {f"{name}.bias": backbone.state_dict()[f"{name}.bias"] + 0.1 for name in norms}
    path = tmp_path / "folded.safetensors"
    saved(backbone, path, **shifted)
    with pytest.raises(TrainingError, match="freeze_batch_norm = true"):
        build(recipe("resnet10t", pretrained=str(path)), 2)
    build(recipe("resnet10t", pretrained=str(path), freeze_batch_norm=True), 2)
