"""A network that fits this machine, the pictures and their number: what `init` proposes."""

from dataclasses import dataclass, replace
from pathlib import Path

from image_models.recipe import ImageModelRecipe

SMALLEST_PX, LARGEST_PX = 64, 224
STEP_PX = 32
"""Sides that every backbone takes."""
GPU_BYTES = 4_000_000_000
MEMORY_SHARE = 0.7
"""Of the free memory; the rest is for images and for what is not counted."""
PICTURES_SHOWN = 200_000
"""Pictures that a small network is shown on a processor in a fit of one fold: minutes on two cores."""
FROZEN_PX = 128
FROZEN = ("convnextv2_nano", "tf_efficientnetv2_b0", "efficientnet_b0", "resnet18")
"""Networks whose vectors a processor can compute, in the order of preference."""


@dataclass(frozen=True)
class Machine:
    """What a network would run on."""

    cores: int
    memory_bytes: int
    """That is free now."""
    gpu: str
    """Its name; empty without one."""
    gpu_bytes: int

    def __str__(self) -> str:
        gpu = f", {self.gpu} with {self.gpu_bytes / 2**30:.0f} GB free" if self.gpu else ", no GPU"
        return f"{self.cores} core{'s' * (self.cores > 1)}, {self.memory_bytes / 2**30:.0f} GB of memory free{gpu}"


@dataclass(frozen=True)
class Choice:
    """A network, and why it is this one."""

    model: ImageModelRecipe
    why: str


def this_machine(cores: int) -> Machine:
    """Look at the machine."""
    import psutil

    from image_models.device import choose_device, device_name, free_memory_bytes

    device = choose_device("auto")
    cuda = device.type == "cuda"
    return Machine(
        cores,
        int(psutil.virtual_memory().available),
        device_name(device) if cuda else "",
        free_memory_bytes(device) if cuda else 0,
    )


def network_for(machine: Machine, lesions: int, side_px: int, weights_dir: Path, *, balanced: bool) -> Choice:
    """Choose; `side_px` is the usual side of the pictures, `balanced` whether no class is rare."""
    size = min(max(side_px // STEP_PX * STEP_PX, SMALLEST_PX), LARGEST_PX)
    at_hand = [name for name in FROZEN if (weights_dir / f"{name}.safetensors").is_file()]
    if machine.gpu_bytes >= GPU_BYTES:
        model = ImageModelRecipe("convnextv2_nano", "convnextv2_nano", image_size=size, epochs=30)
        model, why = fitted(model, machine.gpu_bytes), "pretrained, trained on the GPU"
    elif at_hand:
        size, name = min(size, FROZEN_PX), at_hand[0]
        model = ImageModelRecipe(name, name, frozen=True, image_size=size, epochs=20, learning_rate=1e-3)
        why = "its pretrained vectors are computed once and a head is trained on them, for there is no GPU"
    else:
        epochs = min(max(PICTURES_SHOWN // max(lesions, 1), 3), 20)
        model = ImageModelRecipe(
            "lesion_net", "lesion_net", head="multi_scale_gem", pretrained="none", image_size=SMALLEST_PX,
            epochs=epochs, learning_rate=2e-3, dropout=0.2,
        )  # fmt: skip
        why = "small, from scratch: there is no GPU, and no pretrained weights are in weights/ (fusionnetx weights)"
    return Choice(replace(model, sampling="all" if balanced else "weighted", cosine_steps=0), why)


def fitted(model: ImageModelRecipe, free_bytes: int) -> ImageModelRecipe:
    """The same with a batch that the memory holds."""
    from image_models.networks.memory import working_bytes

    while model.batch_size > 4 and working_bytes(model, 2, training=True) > MEMORY_SHARE * free_bytes:
        model = replace(model, batch_size=model.batch_size // 2)
    return model
