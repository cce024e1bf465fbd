"""Where published data sets are, and under which licence: the one place with addresses of the network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Edition:
    """One edition of a data set: an archive of images, and tables about them."""

    title: str
    """What messages call it."""
    licence: str
    address: str
    """The folder that the files are in."""
    archive: str
    """The zip archive of the images."""
    tables: tuple[str, ...]
    """The tables about them, which have a column `isic_id`."""
    page: str
    """Where a person finds the files when the addresses have changed."""
    folder: str
    """What the folder they are written to is called unless another is named."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file, the small ones first."""
        return (*self.tables, self.archive)

    def url(self, name: str) -> str:
        """The address of a file."""
        return f"{self.address}/{name}"


def _isic2024(title: str, licence: str, stem: str, folder: str) -> Edition:
    """An edition of ISIC 2024, whose files all begin alike."""
    return Edition(
        title=title,
        licence=licence,
        address="https://isic-archive.s3.amazonaws.com/challenges/2024",
        archive=f"{stem}_Input.zip",
        tables=(f"{stem}_GroundTruth.csv", f"{stem}_Supplement.csv"),
        page="https://challenge.isic-archive.com/data/",
        folder=folder,
    )


ISIC2024 = _isic2024("ISIC 2024", "CC BY-NC 4.0", "ISIC_2024_Training", "isic-2024")
"""401,059 tiles, 1.2 GB."""
ISIC2024_PERMISSIVE = _isic2024(
    "ISIC 2024, permissive", "CC BY 4.0", "ISIC_2024_Permissive_Training", "isic-2024-permissive"
)
"""217,477 tiles, half of that; commercial use is allowed."""

ARCHIVE = "https://api.isic-archive.com/api/v2"
"""The archive's interface, which lists the images of a collection without an account."""

EDITIONS = {"isic2024": (ISIC2024, ISIC2024_PERMISSIVE)}
"""By the name of the reader: the whole edition, and the one under a permissive licence."""
