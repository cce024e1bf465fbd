"""Image and metadata vector multiplied number by number."""

from torch import Tensor, nn

from image_models.networks.fusion import Fusion


class Hadamard(Fusion):
    """z = x' * y' number by number; x', y' and z as wide as y."""

    name = "hadamard"

    def __init__(self, image_width: int, metadata_width: int) -> None:
        super().__init__()
        self.width = metadata_width
        self.image = nn.Linear(image_width, metadata_width)
        self.metadata = nn.Linear(metadata_width, metadata_width)

    def forward(self, image: Tensor, metadata: Tensor) -> Tensor:
        """Multiply."""
        product: Tensor = self.image(image) * self.metadata(metadata)
        return product


FUSION = Hadamard
