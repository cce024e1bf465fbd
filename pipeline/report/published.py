"""What the authors of FusionNetX published for ISIC 2024, to stand beside a run's own figures.

pAUC above 80 % sensitivity on the two parts of the competition's hidden test set (28 % public, 72 % private). `row` is
the row of the ablation study that means the same.
"""

from typing import Any

SOURCE = "FusionNetX on the ISIC 2024 leaderboard, as its authors state it"

PUBLISHED: tuple[dict[str, Any], ...] = (
    {"variant": "full multimodal", "row": "full", "public": 0.18380, "private": 0.17295},
    {"variant": "metadata only, advanced features", "row": "metadata_advanced", "public": 0.18024, "private": 0.16040},
    {"variant": "image only", "row": "image_only", "public": 0.15525, "private": 0.14151},
    {"variant": "metadata only, simple features", "row": "metadata_simple", "public": 0.15170, "private": 0.14290},
    {"variant": "seven LightGBM models", "row": None, "public": 0.18131, "private": 0.16581},
)
PUBLISHED_ON = "isic2024"
"""The reader of the data set that these figures are about."""
