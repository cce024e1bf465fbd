"""What a look at a recipe's networks finds before any long work: that they can be built, fed, held and paid for."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from image_models.recipe import ImageModelRecipe
from pipeline.actions.machine import Machine
from pipeline.actions.show_plan import duration


@dataclass(frozen=True)
class Found:
    """What was found, and whether it stops a run, deserves a look, or is good to know."""

    level: Literal["error", "warning", "fact"]
    text: str


ENOUGH_SHARE = 0.9
"""Of the free memory that an estimate may take before it is worth a warning."""
TIMED_IMAGES, TIMED_LOOKS = 8, 3
"""The first look also gets everything ready, so the quickest counts."""
PASSES_TRAINING = 3
"""Training on an image takes about three times as long as a look at it: forth, and back twice."""


def networks(models: tuple[ImageModelRecipe, ...]) -> Iterator[Found]:
    """Build every backbone and head without memory."""
    from image_models.networks.zoo import tried_backbones

    for model in models:
        count = tried_backbones(model)
        if model.backbone != "none":
            sizes = " and ".join(f"{part.backbone} at {part.image_size} px" for part in model.image_branches())
            yield Found("fact", f"image model {model.name}: {sizes}, {count:,} parameters")


def weights(models: tuple[ImageModelRecipe, ...], weights_dir: Path) -> Iterator[Found]:
    """Pretrained weights: at hand, to be fetched, or not to be had."""
    from data.errors import TrainingError
    from data.tables.near import did_you_mean
    from image_models.networks.packaged_weights import PREFIX, packaged_file
    from image_models.networks.weights import hub_name, hub_source, local_path

    for model in models:
        for part in model.image_branches():
            if part.pretrained == "none":
                continue
            if part.pretrained.startswith(PREFIX):
                try:
                    packaged_file(part.pretrained, model.name)
                except TrainingError as error:
                    yield Found("error", str(error))
                continue
            if part.pretrained != "timm":
                path = Path(part.pretrained).expanduser()
                if not path.is_file():
                    beside = [str(other) for other in path.parent.glob("*.safetensors")]
                    hint = did_you_mean(str(path), beside, 0.5)
                    yield Found("error", f"image model {model.name}: weights {path} do not exist{hint}")
                continue
            source, path = hub_source(part), local_path(part, weights_dir)
            if not path.is_file():
                yield Found(
                    "warning",
                    f"image model {model.name}: {path} is not there; {hub_name(source)} is fetched when training "
                    "begins, which needs the internet (fusionnetx weights fetches it now)",
                )


def image_sizes(models: tuple[ImageModelRecipe, ...], packed_px: int, usual_px: int | None) -> Iterator[Found]:
    """What networks see against what the pack and the files hold."""
    for model in models:
        for part in model.image_branches():
            if part.image_size > packed_px:
                yield Found(
                    "warning",
                    f"image model {model.name}: {part.backbone} sees {part.image_size} px, but images are packed at "
                    f"{packed_px} px and would only be enlarged; set data.image_size = {part.image_size}",
                )
    largest = max((model.input_size for model in models if model.backbone != "none"), default=packed_px)
    if packed_px > 2 * largest:
        yield Found("fact", f"images are packed at {packed_px} px, and no network sees more than {largest} px")
    if usual_px is not None and packed_px > 1.5 * usual_px:
        yield Found("fact", f"images of {usual_px} px are enlarged to {packed_px} px")


def memory(models: tuple[ImageModelRecipe, ...], classes: int, machine: Machine) -> Iterator[Found]:
    """What training takes, by estimate, against what is free."""
    from image_models.networks.memory import working_bytes

    free, where = (machine.gpu_bytes, machine.gpu) if machine.gpu else (machine.memory_bytes, "this machine")
    for model in models:
        needed = working_bytes(model, classes, training=True)
        if needed > ENOUGH_SHARE * free:
            yield Found(
                "warning",
                f"image model {model.name} takes about {needed / 2**30:.1f} GB to train, and {where} has "
                f"{free / 2**30:.1f} GB free; lower its batch_size (now {model.batch_size}) or its image_size",
            )


def seconds(
    models: tuple[ImageModelRecipe, ...], images_shown: dict[str, int], predicted: int, machine: Machine
) -> Iterator[Found]:
    """How long the networks will take, from a few images that each looks at now."""
    total, parts = 0.0, []
    for model in models:
        if model.backbone == "none":
            continue
        each = seconds_per_image(model)
        trained = 0 if model.frozen else PASSES_TRAINING * images_shown.get(model.name, 0)
        took = each * (trained + predicted)
        total += took
        parts.append(f"{model.name} {duration(took)}")
    if parts:
        each_one = f" ({', '.join(parts)})" if len(parts) > 1 else ""
        yield Found("fact", f"image models: about {duration(total)}{each_one}, by a first look on {machine}")


def seconds_per_image(model: ImageModelRecipe) -> float:
    """Time of one image through the backbones, on the device that would be used."""
    import torch

    from image_models.device import choose_device
    from image_models.networks.zoo import build_backbone

    device, total = choose_device("auto"), 0.0
    # Nobody's random numbers are used up by a look.
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        for part in model.image_branches():
            backbone = build_backbone(replace(part, pretrained="none")).eval().to(device)
            images = torch.zeros(TIMED_IMAGES, 3, part.image_size, part.image_size, device=device)
            times = []
            for _ in range(TIMED_LOOKS):
                began = time.monotonic()
                float(backbone.forward_features(images).sum())
                times.append(time.monotonic() - began)
            total += min(times) / TIMED_IMAGES
    return total
