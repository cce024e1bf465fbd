"""custom_cnn: a plain convolutional network from scratch, the yardstick beside pretrained ones.

Four times convolution, batch norm, ReLU and max pooling; nothing newer on purpose. The head is not its business.
"""

from typing import Any

from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256)


class CustomCNN(nn.Module):
    """Images (N, 3, S, S) to maps (N, 256, S/16, S/16); 0.4 million parameters."""

    name = "custom_cnn"
    num_features = WIDTHS[-1]

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                    nn.BatchNorm2d(outputs),
                    nn.ReLU(inplace=True),
                    nn.MaxPool2d(2),
                )
                for inputs, outputs in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True)
            )
        )

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last maps."""
        maps: Tensor = self.blocks(images)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Return the last maps, as `forward_features`."""
        return self.forward_features(images)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers from the image up, in the form timm's models give them."""
        return {"stem": r"^blocks\.0", "blocks": r"^blocks\.(\d+)"}


NETWORK = CustomCNN
