"""What TRIPOD+AI and CLAIM ask for, and where a card answers it."""

from collections.abc import Iterable

from pipeline.card.figures import Section

ITEMS = (
    ("Data and setting", "data"), ("Characteristics of patients", "patients"), ("Predictors", "predictors"),
    ("Sample size and events", "data"), ("Missing data", "missing"), ("Quality of inputs", "quality"),
    ("How the data were divided", "division"), ("Model", "models"), ("Tuning", "tuning"), ("Imbalance", "imbalance"),
    ("Discrimination, with intervals", "discrimination"), ("Calibration", "calibration"), ("Utility", "utility"),
    ("Recalibration", "recalibration"), ("Outputs and thresholds", "thresholds"),
    ("Fairness and subgroups, with intervals", "subgroups"), ("Heterogeneity between sites", "sites"),
    ("Robustness", "robustness"), ("Failure analysis", "failures"), ("Code, versions, seeds, cost", "account"),
    ("Bill of materials (CycloneDX)", "bom.json"), ("Machine-readable data (Croissant)", "croissant.json"),
)  # fmt: skip
"""Item, and the section or file that answers it."""
UNANSWERED = "not answered by this run"


def answered(sections: Iterable[Section], files: Iterable[str]) -> list[tuple[str, str, str]]:
    """Item, where it is answered (or that it is not), and the id of that section."""
    known, written = {one.id: one for one in sections}, set(files)
    found = []
    for item, place in ITEMS:
        if place in known and known[place].answered:
            found.append((item, known[place].title, place))
        else:
            found.append((item, place if place in written else UNANSWERED, ""))
    return found
