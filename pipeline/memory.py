"""Memory that was freed is kept for the next array instead of going back to the system each time.

Training on a processor frees and asks for the same large blocks at every step. The C library hands blocks of some
size straight back to the system, which then has to find and clear fresh pages, over and over. No result depends on it.
"""

import ctypes
import os
import sys

# As malloc.h numbers them.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed; leave other C libraries, and whoever has tuned malloc already, alone."""
    tuned = any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc" in os.environ.get(
        "GLIBC_TUNABLES", ""
    )
    if not sys.platform.startswith("linux") or tuned:
        return
    try:
        set_option = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    # One pool for all threads: what one frees, another may use.
    for option, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1)):
        set_option(option, value)
