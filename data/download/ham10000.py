"""HAM10000 from the ISIC archive: its collection there, and the published table made of the archive's records."""

import re
from collections.abc import Mapping
from typing import Any

from data.download.addresses import ARCHIVE
from data.download.archive import Cells, Collection
from data.schemas.ham10000 import METADATA

DIAGNOSES = {
    "nv": r"n[ae]+vus",
    "mel": r"melanoma(?! in situ of)",
    "bcc": r"basal cell carcinoma",
    "akiec": r"actinic keratosis|squamous cell carcinoma in situ|bowen|intraepithelial carcinoma",
    "bkl": r"pigmented benign keratosis|seborr?h?o?eic keratosis|solar lentigo|lichen planus.like keratosis|"
    r"benign keratosis",
    "df": r"dermatofibroma",
    "vasc": r"vascular|h[ae]+mangioma|angiokeratoma|pyogenic granuloma|angioma",
}
"""What the archive calls the published diagnoses, the finest level of its diagnosis first."""
CONFIRMED = {
    "histo": r"histopath",
    "follow_up": r"serial imaging|follow.?up",
    "confocal": r"confocal",
    "consensus": r"consensus",
}
COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


def row_of(record: Mapping[str, Any]) -> Cells | str:
    """The published row of one record of the archive, or why there is none."""
    clinical = record["metadata"]["clinical"]
    levels = [clinical.get("diagnosis"), *(clinical.get(f"diagnosis_{level}") for level in (5, 4, 3, 2))]
    stated = [str(name) for name in levels if name]
    dx = next((found for name in stated if (found := named(name, DIAGNOSES))), None)
    if dx is None:
        return stated[0] if stated else "no diagnosis"
    lesion = clinical.get("lesion_id")
    if not lesion:
        return "no lesion named"
    how = str(clinical.get("diagnosis_confirm_type") or "")
    place = clinical.get("anatom_site_special") or clinical.get("anatom_site_general") or "unknown"
    age = clinical.get("age_approx")
    return {
        "lesion_id": str(lesion),
        "image_id": record["isic_id"],
        "dx": dx,
        "dx_type": named(how, CONFIRMED) or how,
        "age": "" if age is None else str(age),
        "sex": str(clinical.get("sex") or "unknown"),
        "localization": str(place),
    }


def named(text: str, patterns: Mapping[str, str]) -> str | None:
    """The name of the first pattern that the text holds."""
    return next((name for name, pattern in patterns.items() if re.search(pattern, text, re.I)), None)


HAM10000 = Collection(
    title="HAM10000",
    licence="CC BY-NC 4.0",
    address=ARCHIVE,
    number=212,
    table=METADATA,
    columns=COLUMNS,
    row_of=row_of,
    page="https://doi.org/10.7910/DVN/DBW86T",
    folder="ham10000",
)
"""10,015 images of 7,470 lesions, and those that the archive has added since."""

COLLECTIONS = {"ham10000": HAM10000}
"""By the name of the reader."""
