"""Bilinear forms of the image and the metadata vector."""

from torch import Tensor, nn

from image_models.networks.fusion import Fusion

BILINEAR_WIDTH = 64
"""Of x' and y' in the bilinear form: 64 x 64 weights per number of the result."""


class Bilinear(Fusion):
    """z_k = x'^T W_k y' + c_k; x' and y' are BILINEAR_WIDTH wide, z as wide as y."""

    name = "bilinear"

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = metadata_width
        self.image = nn.Linear(image_width, BILINEAR_WIDTH)
        self.metadata = nn.Linear(metadata_width, BILINEAR_WIDTH)
        self.form = nn.Bilinear(BILINEAR_WIDTH, BILINEAR_WIDTH, metadata_width)

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Evaluate the bilinear forms."""
        values: Tensor = self.form(self.image(image), self.metadata(metadata))
        return values


FUSION = Bilinear
