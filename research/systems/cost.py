"""What a network weighs and how long it takes for one image on one thread."""

from dataclasses import dataclass

from torch import nn

from image_models.networks.cost import describe, milliseconds_per_image


@dataclass(frozen=True)
class SystemCost:
    """Of a trained network, or the sum of several."""

    parameters: int
    megabytes: float
    ms_per_image: float


def cost_of(model: nn.Module, image_size: int, *, sees_images: bool) -> SystemCost:
    """Count and time a network."""
    model, size = model.to("cpu").eval(), image_size if sees_images else 1
    facts = describe(model, size)
    return SystemCost(facts.parameters, facts.megabytes, milliseconds_per_image(model, size))
