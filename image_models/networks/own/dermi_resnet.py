"""dermi_resnet: a residual network whose skips carry a learnable weight, published for fusion with clinical data.

conv1 to 64 channels; four stages of 64 to 512, each a stride-2 convolution block and a residual block; average pooling
and two fully connected layers to 512 numbers. The publication leaves open conv1's kernel (here 7x7 at stride 2, as in
ResNet), the dropout rate and the width between the fully connected layers. What follows the 512 is not its business.
"""

from typing import Any

import torch
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)
DROPOUT = 0.2
"""In the residual blocks of the last two stages."""


def block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """Return a convolution, batch norm and leaky ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(inplace=True)]


class ScaledSkip(nn.Module):
    """y = F(x) + alpha x: F is two convolution blocks with dropout behind them, alpha learnable and 1 at first."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.convolve = nn.Sequential(*block(width, width), *block(width, width), nn.Dropout(dropout))
        self.alpha = nn.Parameter(torch.ones(()))

    def forward(self, maps: Tensor) -> Tensor:
        """Add what the convolutions found to the scaled skip."""
        result: Tensor = self.convolve(maps) + self.alpha * maps
        return result


class DermiResNet(nn.Module):
    """Images (N, 3, S, S) to maps (N, 512, S/32, S/32), and these to vectors of 512; 8.4 million parameters."""

    name = "dermi_resnet"
    num_features = head_hidden_size = WIDTHS[-1]

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*block(3, WIDTHS[0], kernel=7, stride=2))
        inputs = (WIDTHS[0], *WIDTHS[:-1])
        self.stages = nn.Sequential(
            *(
                nn.Sequential(*block(a, b, stride=2), ScaledSkip(b, DROPOUT if stage >= 2 else 0.0))
                for stage, (a, b) in enumerate(zip(inputs, WIDTHS, strict=True))
            )
        )
        self.head_layers = nn.Sequential(
            nn.Linear(WIDTHS[-1], WIDTHS[-1]), nn.LeakyReLU(), nn.Linear(WIDTHS[-1], WIDTHS[-1]), nn.LeakyReLU()
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu")

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last maps."""
        maps: Tensor = self.stages(self.stem(images))
        return maps

    def forward_head(self, maps: Tensor, pre_logits: bool = True) -> Tensor:
        """Average the maps and apply the two fully connected layers; there are no logits beyond them."""
        vectors: Tensor = self.head_layers(maps.mean(dim=(2, 3)))
        return vectors

    def forward(self, images: Tensor) -> Tensor:
        """Return the vectors."""
        return self.forward_head(self.forward_features(images))

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers from the image up, in the form timm's models give them."""
        return {"stem": r"^stem", "blocks": [(r"^stages\.(\d+)", None), (r"^head_layers", (99999,))]}


NETWORK = DermiResNet
