"""CatBoost's cbm: its frame is checked here, its contents by trying them in a process that may die.

The format is a frame (magic, size), a FlatBuffer and tables of category statistics behind it. CatBoost verifies the
FlatBuffer itself; that its numbers point into each other is nowhere said and cannot be checked from outside. So a file
whose bytes this process has not seen yet is first loaded by a child process, which also predicts a few rows with it,
with a bound on memory and time. The child is started once and then takes one file after the other: the first costs a
second, the next a few milliseconds. Files that this process wrote itself are not tried.

Covered: a file that is cut, foreign or damaged so that loading it, or predicting zeros, ones, large numbers and missing
values with it, ends the process, hangs or takes all memory. Not covered: a file forged so that only certain other rows
lead the library astray. Take models of CatBoost from people you trust.
"""

import atexit
import hashlib
import json
import os
import selectors
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from data.errors import DataError

MAGIC = b"CBM1"
SECONDS = 60.0
"""A file that takes longer is refused; the start of the child is within it."""
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tabular.model_files.catboost_trial import main; main()"
)

_sound: set[str] = set()
"""Checksums of the files that this process wrote or has tried."""
_lock = threading.Lock()
_children: dict[int, subprocess.Popen[bytes]] = {}
"""The child by the process that started it: a fork does not share its parent's."""


def vouch_for(whole: bytes) -> None:
    """Take note of a file that this process writes itself."""
    _sound.add(hashlib.sha256(whole).hexdigest())


def check(whole: bytes, path: Path) -> None:
    """Refuse a file that is not a whole model."""
    damaged = DataError(f"{path} is not a whole CatBoost model; train the member again")
    if len(whole) < 8 or not whole.startswith(MAGIC) or struct.unpack("<I", whole[4:8])[0] > len(whole) - 8:
        raise damaged
    checksum = hashlib.sha256(whole).hexdigest()
    with _lock:
        if checksum in _sound:
            return
        if not stands_trial(whole):
            raise damaged
        _sound.add(checksum)


def stands_trial(whole: bytes) -> bool:
    """Whether a child process can load a file and predict with it."""
    child = running()
    questions, answers = pipes(child)
    try:
        questions.write(struct.pack("<Q", len(whole)) + whole)
        questions.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(answers, selectors.EVENT_READ)
            answer = os.read(answers.fileno(), 1) if selector.select(SECONDS) else b""
    except OSError:
        answer = b""
    if not answer:
        stop(child)
    return answer == b"+"


def running() -> subprocess.Popen[bytes]:
    """The child of this process, started when there is none."""
    child = _children.get(os.getpid())
    if child is None or child.poll() is not None:
        child = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is the parent's to handle: a child that it ended would make a sound file look damaged.
            start_new_session=True,
        )
        _children[os.getpid()] = child
    return child


def pipes(child: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Where a child is asked, and where it answers."""
    assert child.stdin is not None
    assert child.stdout is not None
    return child.stdin, child.stdout


def stop(child: subprocess.Popen[bytes]) -> None:
    """End a child that died, hangs or is no longer needed."""
    child.kill()
    child.wait()
    for pipe in pipes(child):
        try:
            pipe.close()
        except OSError:
            continue


@atexit.register
def stop_own() -> None:
    """Leave no child behind; one whose parent was killed ends with its standard input."""
    child = _children.pop(os.getpid(), None)
    if child is not None:
        stop(child)
