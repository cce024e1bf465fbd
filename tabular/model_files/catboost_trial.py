"""The child process of `catboost_cbm`: loads models that may kill it, one after the other, and says which did not."""

import os
import struct
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

MEMORY_BYTES = 2**31
"""Address space a model may take beyond what the process holds with CatBoost loaded; 100 MB is a large one."""


def main() -> None:
    """Answer `+` or `-` to each model on standard input, until it ends."""
    answers = os.dup(1)
    os.dup2(2, 1)  # the library prints on standard output as it likes
    import catboost

    from data.errors import FusionNetXError
    from tabular.learners.catboost import opened

    bound_memory()
    while size := sys.stdin.buffer.read(8):
        whole = sys.stdin.buffer.read(struct.unpack("<Q", size)[0])
        try:
            model = opened(whole)
            rows = np.array([0.0, 1.0, -1e9, 1e9, np.nan], np.float32)
            model.predict(np.repeat(rows[:, None], model.width, axis=1))
            model.contributions(np.repeat(rows[:, None], model.width, axis=1))
            answer = b"+"
        except (FusionNetXError, catboost.CatBoostError, MemoryError, KeyError, TypeError, ValueError, RecursionError):
            answer = b"-"
        os.write(answers, answer)


def bound_memory() -> None:
    """Keep the process from taking the machine's memory, and from leaving a core file; not every system can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, resource.RLIM_INFINITY))
