import os
import subprocess
import sys

import pytest

from pipeline.memory import keep_freed_memory

COUNT = """
import resource, sys
import numpy as np
from pipeline.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(20):
    np.ones(40_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def pages_asked_for(what: str, **variables: str) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    answer = subprocess.run([sys.executable, "-c", COUNT, what], env={**environment, **variables}, check=True,
                            capture_output=True, text=True)  # fmt: skip
    return int(answer.stdout)


@pytest.mark.skipif("glibc" not in "".join(os.confstr("CS_GNU_LIBC_VERSION") or ""), reason="needs the GNU C library")
def test_freed_memory_is_used_again():
    taken = 20 * 40_000_000 // os.sysconf("SC_PAGESIZE")
    given_back, kept = pages_asked_for("give back"), pages_asked_for("keep")
    # Huge pages, where the system uses them, are asked for rarely in either case.
    assert kept < given_back - taken // 2 or given_back < taken // 2
    # Whoever has set malloc up is left alone.
    assert abs(pages_asked_for("keep", MALLOC_PERTURB_="0") - given_back) < taken // 4


def test_a_system_without_glibc_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory()
