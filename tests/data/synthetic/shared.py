"""What the tests of this folder share."""

from pathlib import Path

import polars as pl
import psutil

from data.synthetic.isic2024.recipe import SyntheticRecipe

TINY = SyntheticRecipe(lesions=60, test_lesions=40, patients=9, test_patients=6, malignant=8, test_malignant=6, seed=3)


TRAIN_ONLY_COLUMNS = [
    "lesion_id", "iddx_full", "iddx_1", "iddx_2", "iddx_3", "iddx_4", "iddx_5", "mel_mitotic_index", "mel_thick_mm",
    "tbp_lv_dnn_lesion_confidence",
]  # fmt: skip


def read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema_length=None)


def children() -> list[psutil.Process]:
    """The processes that draw for this one and are not dead yet."""

    def draws(process: psutil.Process) -> bool:
        try:
            return "multiprocessing.spawn" in " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            return False

    return [process for process in psutil.Process().children(recursive=True) if draws(process)]


DRAW = """
import sys
from pathlib import Path
from data.synthetic.isic2024.cohort import write_cohort
from data.synthetic.isic2024.recipe import SyntheticRecipe
if __name__ == "__main__":
    tell = lambda done, total, **figures: print(done, flush=True)
    write_cohort(Path(sys.argv[1]), SyntheticRecipe(lesions=2000, test_lesions=300), progress=tell, workers=2)
"""
