"""Where and how the numbers of a network are computed."""

from dataclasses import dataclass

import torch

from image_models.precision import Precision
from image_models.training.distributed import ALONE, Ranks


@dataclass(frozen=True)
class Setup:
    """A device, a number format, and the processes that work together."""

    device: torch.device
    precision: Precision
    ranks: Ranks = ALONE
