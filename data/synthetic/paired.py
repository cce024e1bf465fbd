"""Twins of two data sets and a table of pairs that joins them: whoever comes first, gets the next patient.

The pairs are drawn without a look at any label, so that the patients' columns tell nothing of the lesions.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from data.progress import Progress, silent
from data.readers.pairing import PairingRecipe
from data.readers.reading import Reader
from data.readers.tcga_skcm import PATIENTS
from data.synthetic import tcga_skcm
from data.synthetic.recipe import TwinRecipe
from data.tables.text_rows import read_tab_separated

LEFT_ALONE = 0.1
"""Share of the lesions without a patient."""


def write(
    folder: Path,
    recipe: TwinRecipe,
    progress: Progress,
    pairing: PairingRecipe,
    reader: Reader,
    write_lesions: Callable[[Path, TwinRecipe, Progress], None],
) -> None:
    """Write both twins and the pairs into `folder`, which is empty."""
    lesions_folder, patients_folder = folder / pairing.lesions_folder, folder / pairing.patients_folder
    for part in (lesions_folder, patients_folder):
        part.mkdir(parents=True)
    write_lesions(lesions_folder, recipe, progress)
    tcga_skcm.write(patients_folder, recipe, silent)
    lesions = reader.read(lesions_folder).train
    patients = read_tab_separated(patients_folder / PATIENTS).frame["PATIENT_ID"].to_list()
    rng = np.random.default_rng([recipe.seed, 50])
    groups = rng.permutation(np.unique(lesions.groups))
    kept = groups[round(LEFT_ALONE * groups.size) :]
    of_group = {str(group): patients[place % len(patients)] for place, group in enumerate(kept)}
    pairs = [(name, of_group.get(group)) for name, group in zip(lesions.ids, lesions.groups, strict=True)]
    table = pl.DataFrame(
        [(str(name), patient) for name, patient in pairs if patient is not None],
        schema=["image_id", "patient_id"],
        orient="row",
    )
    table.write_csv(folder / pairing.table)
