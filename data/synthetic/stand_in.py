"""What stands in for real data when no folder is given: the cohort or the twin that the recipe describes, made once."""

from pathlib import Path

from data.files import fingerprint
from data.progress import Progress, silent
from data.recipe import DataRecipe, reader_of
from data.synthetic.recipe import GENERATION
from data.whole_folder import is_invented as is_invented
from data.whole_folder import write_whole


def stand_in(recipe: DataRecipe, cache: Path, progress: Progress = silent) -> Path | None:
    """The folder below `cache` with the recipe's synthetic data, written if it is not there; None without a recipe."""
    if recipe.synthetic is not None:
        from data.synthetic.isic2024 import cohort

        key = fingerprint({"recipe": recipe.synthetic.identity, "generation": cohort.GENERATION})
        folder = cache / f"synthetic-{key[:16]}"
        cohort.write_cohort(folder, recipe.synthetic, progress=progress, workers=recipe.workers)
        return folder
    if recipe.twin is None:
        return None
    identity = {
        "generation": GENERATION,
        "reader": recipe.reader,
        "recipe": recipe.twin.model_dump(mode="json"),
        "pairing": recipe.pairing.model_dump(mode="json") if recipe.pairing is not None else None,
    }
    folder = cache / f"synthetic-{fingerprint(identity)[:16]}"
    twin, reader = recipe.twin, reader_of(recipe)
    write_whole(folder, identity, lambda new: reader.write_twin(new, twin, progress))
    return folder
