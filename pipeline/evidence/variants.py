"""The ten variants of the organisers' table: a run's recipe with some classes of inputs alone.

Which columns are measured is declared with the features, as is which families compare the lesions of a patient.
"""

from collections.abc import Sequence

from features.columns import is_measured
from features.families.registry import patient_families
from pipeline.ablation.variants import metadata_alone, with_features, with_tabular, without_patient_features
from pipeline.recipe import Recipe

CLASSES = {"B": "basic", "W": "measurements", "T": "tiles", "P": "patient context"}
FULL = "BWTP"
VARIANTS = (FULL, "BWT", "BWP", "BW", "BTP", "BT", "WP", "W", "TP", "T")


def classes_of(recipe: Recipe, columns: Sequence[str]) -> dict[str, bool]:
    """Which classes of inputs a recipe has, of data whose usable columns these are."""
    return {
        "B": any(not is_measured(name) for name in columns),
        "W": any(is_measured(name) for name in columns),
        "T": bool(recipe.image_models),
        "P": bool(set(recipe.features.chosen) & set(patient_families())),
    }


def with_inputs(recipe: Recipe, kept: str, columns: Sequence[str]) -> Recipe | str:
    """The recipe with these classes of inputs alone, or why there is no such variant of it."""
    there = classes_of(recipe, columns)
    absent = [CLASSES[one] for one in kept if not there[one]]
    if absent and kept != FULL:
        return f"this run has no {' and no '.join(absent)}"
    dropped = [name for name in columns if ("W" if is_measured(name) else "B") not in kept]
    changed = with_features(recipe, unused_columns=tuple(dict.fromkeys([*recipe.features.unused_columns, *dropped])))
    if "P" not in kept and there["P"]:
        without = without_patient_features(changed)
        assert isinstance(without, Recipe)
        changed = without
    if "T" not in kept and there["T"]:
        blind = metadata_alone(changed)
        assert isinstance(blind, Recipe)
        changed = blind
    if not set(kept) & {"B", "W"}:
        # A member that sees no image column would have nothing left to learn from.
        sighted = tuple(member for member in changed.tabular.members if member.image_columns)
        if not sighted:
            return "no member of this recipe sees image columns"
        changed = with_tabular(changed, members=sighted)
    return changed.model_copy(update={"description": f"{recipe.description} (inputs {' '.join(kept)})"})


def title_of(kept: str) -> str:
    """`basic, tiles`."""
    return ", ".join(CLASSES[one] for one in kept)
