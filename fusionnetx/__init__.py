"""Skin-lesion malignancy from many small images and a table, for notebooks and scripts.

    import fusionnetx as fnx

    run = fnx.fit(table, images="photos/", target="malignant", group="patient_id")
    run.scores                      # cross-validated, with intervals over patients
    run.predict(new_table, "new-photos/")
    run.report()                    # an HTML page to look at

`fit` takes a pandas or polars frame, or a folder of published files; what it makes is a run folder like any other, so
every verb of the command line works on it too.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusionnetx.run import FittedRun as FittedRun
    from fusionnetx.run import fit as fit
    from fusionnetx.run import open_run as open_run

__all__ = ["FittedRun", "fit", "open_run"]

PACKAGES = ("data", "features", "image_models", "tabular", "pipeline", "research")
"""Packages of this project whose names others might use too."""


def _own_packages() -> None:
    """Refuse to work with somebody else's `data` or `features` in place of the project's own."""
    root = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parents[1] != root:
            there = "nothing" if spec is None else spec.origin or next(iter(spec.submodule_search_locations or []), "")
            raise ImportError(
                f"FusionNetX needs its own package {name!r}, but Python finds {there}: rename that file or folder, or "
                "start Python in another folder"
            )


_own_packages()


def __getattr__(name: str) -> Any:
    """Load what a notebook uses when it is first used: the command line needs none of it."""
    if name in __all__:
        from fusionnetx import run

        return getattr(run, name)
    raise AttributeError(f"module 'fusionnetx' has no attribute {name!r}")
