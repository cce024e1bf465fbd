"""What stands in for real data when no folder is given: the cohort or the twin that the recipe describes, made once."""

from collections.abc import Callable
from pathlib import Path

from data.files import fingerprint
from data.progress import Progress, silent
from data.recipe import READERS, DataRecipe
from data.synthetic import ham10000, pad_ufes, paired, ph2, tcga_skcm
from data.synthetic.isic2024 import cohort as synthetic
from data.synthetic.recipe import GENERATION, TwinRecipe
from data.whole_folder import write_whole

Writer = Callable[[Path, TwinRecipe, Progress], None]


def _isic2024(folder: Path, recipe: TwinRecipe, progress: Progress) -> None:
    cohort = synthetic.SyntheticRecipe(lesions=recipe.lesions, test_lesions=10, seed=recipe.seed)
    synthetic.write_cohort(folder, cohort, progress=progress)


WRITERS: dict[str, Writer] = {
    "isic2024": _isic2024,
    "ham10000": ham10000.write,
    "ham10000_binary": ham10000.write,
    "ph2": ph2.write,
    "ph2_binary": ph2.write,
    "tcga_skcm": tcga_skcm.write,
    "folder": pad_ufes.write,
}
"""By reader; a pair of data sets is written by those of its parts."""


def stand_in(recipe: DataRecipe, cache: Path, progress: Progress = silent) -> Path | None:
    """The folder below `cache` with the recipe's synthetic data, written if it is not there; None without a recipe."""
    if recipe.synthetic is not None:
        key = fingerprint({"recipe": recipe.synthetic.model_dump(mode="json"), "generation": synthetic.GENERATION})
        folder = cache / f"synthetic-{key[:16]}"
        synthetic.write_cohort(folder, recipe.synthetic, progress=progress, workers=recipe.workers)
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
    writer, twin = _writer(recipe), recipe.twin
    write_whole(folder, identity, lambda new: writer(new, twin, progress))
    return folder


def _writer(recipe: DataRecipe) -> Writer:
    if recipe.pairing is None:
        return WRITERS[recipe.reader]
    pairing, reader = recipe.pairing, READERS[recipe.pairing.lesions](recipe)

    def write(folder: Path, twin: TwinRecipe, progress: Progress) -> None:
        paired.write(folder, twin, progress, pairing, reader, WRITERS[pairing.lesions])

    return write
