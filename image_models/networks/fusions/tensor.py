"""All products of a number of the image and a number of the metadata."""

import torch
from torch import Tensor, nn

from image_models.networks.fusion import Fusion

TENSOR_WIDTH = 32
"""Of x' and y' in the outer product: 33 x 33 numbers; at 256 the layer behind it would have millions of weights."""


class TensorProduct(Fusion):
    """z = all products of a number of [x'; 1] and a number of [y'; 1]; x' and y' are TENSOR_WIDTH wide.

    The ones keep x' and y' themselves among the products (Zadeh et al. 2017, tensor fusion network).
    """

    name = "tensor"

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = (TENSOR_WIDTH + 1) ** 2
        self.image = nn.Linear(image_width, TENSOR_WIDTH)
        self.metadata = nn.Linear(metadata_width, TENSOR_WIDTH)

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Take the outer product."""
        # Of the numbers there, so that a traced network takes batches of any size.
        one = torch.ones_like(image[:, :1])
        rows, columns = torch.cat([self.image(image), one], 1), torch.cat([self.metadata(metadata), one], 1)
        return (rows[:, :, None] * columns[:, None, :]).flatten(1)


FUSION = TensorProduct
