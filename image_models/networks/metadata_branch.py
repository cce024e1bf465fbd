"""The branch that takes the numbers beside an image: fully connected layers, each followed by a ReLU."""

from torch import nn


class MetadataBranch(nn.Sequential):
    """Numbers (N, inputs) to a vector (N, widths[-1]); with widths 128 and 256 the clinical branch of DermiResNet."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for before, after in zip((inputs, *widths), widths, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
        super().__init__(*layers)
        self.width = widths[-1]
