"""The notebook that Kaggle runs: it installs, finds the files and calls one verb; and the kernel's description."""

import json
from typing import Any

INSTALL = """\
# Installs without internet: the wheels came with the models.
import subprocess, sys
from pathlib import Path

INPUT = Path("{input}")
bundle = next(path.parent for path in sorted(INPUT.rglob("{marker}")))
wheels = bundle / "wheels"
subprocess.run(
    [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--force-reinstall",
     "--find-links", str(wheels), *{names!r}],
    check=True,
)"""

SUBMIT = """\
# The folder with test-metadata.csv, test-image.hdf5 and sample_submission.csv, wherever the competition puts it.
competition = next(path.parent for path in sorted(INPUT.rglob("test-image.hdf5")))
subprocess.run(
    [sys.executable, "-m", "fusionnetx", "submit", "--run", str(bundle / "run"), "--data", str(competition),
     "--out", "submission.csv"],
    check=True,
)"""

SHOW = """\
print(*Path("submission.csv").read_text().splitlines()[:5], sep="\\n")"""

MARKER = "fusionnetx-bundle.json"
"""The file by which the notebook finds the bundle among the inputs."""


def notebook(title: str, names: list[str], input_dir: str = "/kaggle/input") -> dict[str, Any]:
    """The notebook as nbformat 4 JSON."""
    sources = [
        INSTALL.format(input=input_dir, marker=MARKER, names=names),
        SUBMIT,
        SHOW,
    ]
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "cells": [
            {"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {title}"},
            *(
                {
                    "cell_type": "code",
                    "id": f"cell-{number}",
                    "metadata": {},
                    "execution_count": None,
                    "outputs": [],
                    "source": source,
                }
                for number, source in enumerate(sources, start=1)
            ),
        ],
    }


def kernel_metadata(user: str, slug: str, title: str, competition: str) -> dict[str, Any]:
    """`kernel-metadata.json` as `kaggle kernels push` reads it."""
    return {
        "id": f"{user}/{slug}",
        "title": title,
        "code_file": "submission.ipynb",
        "language": "python",
        "kernel_type": "notebook",
        "is_private": "true",
        "enable_gpu": "true",
        "enable_internet": "false",
        "dataset_sources": [f"{user}/{slug}-models"],
        "competition_sources": [competition],
        "kernel_sources": [],
    }


def dataset_metadata(user: str, slug: str, title: str) -> dict[str, Any]:
    """`dataset-metadata.json` as `kaggle datasets create` reads it."""
    return {"id": f"{user}/{slug}-models", "title": f"{title} models", "licenses": [{"name": "Apache 2.0"}]}


def code_of(book: dict[str, Any]) -> str:
    """The code cells one after the other, as a program."""
    return "\n\n".join(cell["source"] for cell in json.loads(json.dumps(book))["cells"] if cell["cell_type"] == "code")
