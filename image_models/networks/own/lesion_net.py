"""lesion_net: a small residual network for small images, trained from scratch on a CPU in minutes.

For the demo recipe, for tests and as the pattern for a network of one's own: `num_features`, `forward_features`
and, for layer-wise learning rates, `group_matcher`. The head is not its business.
"""

from typing import Any

import torch
from torch import Tensor, nn

WIDTHS = (32, 64, 96)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a skip; the first may halve the side and widen the channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolve = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            # Average before the 1x1 convolution: a strided 1x1 would look at one pixel in four.
            self.skip = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Add what the convolutions found to the skip."""
        result: Tensor = torch.relu(self.convolve(maps) + self.skip(maps))
        return result


class LesionNet(nn.Module):
    """Images (N, 3, S, S) to maps (N, 96, S/16, S/16); 0.3 million parameters."""

    name = "lesion_net"
    num_features = WIDTHS[-1]

    def __init__(self) -> None:
        super().__init__()
        # A stride of 4 in the stem: most of a small network's time would otherwise go to its largest maps.
        self.stem = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0], 7, 4, 3, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(inplace=True)
        )
        inputs = (WIDTHS[0], *WIDTHS[:-1])
        self.stages = nn.Sequential(
            *(Residual(a, b, 1 if stage == 0 else 2) for stage, (a, b) in enumerate(zip(inputs, WIDTHS, strict=True)))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last maps."""
        maps: Tensor = self.stages(self.stem(images))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Return the last maps, as `forward_features`."""
        return self.forward_features(images)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers from the image up, in the form timm's models give them."""
        return {"stem": r"^stem", "blocks": r"^stages\.(\d+)"}


NETWORK = LesionNet
