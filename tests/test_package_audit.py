"""`make package-audit` never says that all is well of packages whose data it could not reach."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
case "$*" in
  *"pip install"*) {install} ;;
  *pip_audit*) echo "{said}"; exit {code} ;;
esac
"""


@pytest.mark.parametrize(
    ("install", "said", "code", "ends", "words"),
    [
        ("exit 0", "No known vulnerabilities found", 0, 0, "No known vulnerabilities found"),
        ("exit 0", "Found 1 known vulnerability in 1 package", 1, 2, "Found 1 known vulnerability"),
        ("exit 0", "Max retries exceeded with url: /simple/", 1, 2, "the audit did not run on every package"),
        ("exit 0", "Connection refused", 0, 2, "the audit did not run on every package"),
        ("exit 0", "torch: could not be audited", 0, 2, "the audit did not run on every package"),
        ("exit 0", "killed", 137, 2, "the audit did not run on every package"),
        ("echo no index; exit 1", "", 0, 2, "the audit did not run: pip-audit could not be installed"),
    ],
)
def test_what_it_says(tmp_path: Path, install: str, said: str, code: int, ends: int, words: str) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(PYTHON.format(install=install, said=said, code=code))
    python.chmod(0o755)
    (tmp_path / ".installed").touch()
    command = ["make", "--no-print-directory", "package-audit", f"VENV={tmp_path}"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "ARGS": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == ends, done
    assert words in done.stdout
