"""Data that count as real: the synthetic cohort's files without the mark by which generated data are known."""

import shutil
from pathlib import Path

from data.synthetic.stand_in import is_invented
from data.whole_folder import MANIFEST

ANSWERS = "test-answers.csv"


def unmarked(cohort_dir: Path, folder: Path) -> Path:
    """A copy that nobody can tell from published data; nor does it hold the answers of the test lesions."""
    shutil.copytree(cohort_dir, folder, ignore=shutil.ignore_patterns(MANIFEST, ANSWERS), dirs_exist_ok=True)
    assert not is_invented(folder)
    return folder
