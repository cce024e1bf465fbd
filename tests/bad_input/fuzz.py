"""How damaged files are drawn, read in a process of their own, and counted."""

import json
import os
import select
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bad_input.account import record_fuzz

LONG = "FUSIONNETX_FUZZ" in os.environ
INPUTS = int(os.environ.get("FUSIONNETX_FUZZ", "80"))
TIMEOUT_SECONDS = 20.0
ROOT = Path(__file__).parents[2]
SPECIAL = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
CELLS = (
    *(b"", b"nan", b"-inf", b"1e999", b"9" * 400, b'"', b'"a\nb"', b"\xff", b"\xef\xbb\xbf", b"\0", b",,,", b"\r"),
    *(b"\n\n", b"=1+1", b"1_000", b"0x10", b"[[" * 300, b"{" * 300, b"true", b"''", b'"""', b"\xed\xa0\x80", b"#"),
)


class Child:
    """The reading process, started again whenever an input ends it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.sound: dict[str, bytes] = {}

    def ask(self, reader: str, data: bytes) -> tuple[str, str]:
        """`read`, `refused`, `escaped`, `died` or `hung`, and the message."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("fuzz_child.py")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            if reader in self.sound:
                self._exchange(reader, self.sound[reader], 120.0)
        if reader not in self.sound:
            answer = self._exchange(reader, data, 120.0)
            assert answer[0] == "read", f"{reader} does not read a sound file: {answer}"
            self.sound[reader] = data
            return answer
        return self._exchange(reader, data, TIMEOUT_SECONDS)

    def _exchange(self, reader: str, data: bytes, seconds: float) -> tuple[str, str]:
        assert self.process is not None
        name = reader.encode()
        try:
            self.process.stdin.write(struct.pack(">HI", len(name), len(data)) + name + data)  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
            if not select.select([self.process.stdout], [], [], seconds)[0]:
                return self._gone("hung")
            length = self.process.stdout.read(4)  # type: ignore[union-attr]
            if len(length) < 4:
                return self._gone("died")
            outcome, message = json.loads(self.process.stdout.read(struct.unpack(">I", length)[0]))  # type: ignore[union-attr]
        except BrokenPipeError:
            return self._gone("died")
        return outcome, message

    def _gone(self, how: str) -> tuple[str, str]:
        code = self.close()
        return how, f"exit code {code}"

    def close(self) -> int:
        """End the process and forget it."""
        assert self.process is not None
        process, self.process = self.process, None
        if process.poll() is None and process.stdin is not None:
            process.kill()
        process.communicate()
        return process.returncode


@st.composite
def damaged(draw: st.DrawFn, sounds: tuple[bytes, ...]) -> bytes:
    """A sound file after one to six accidents."""
    data = bytearray(draw(st.sampled_from(sounds)))
    for _ in range(draw(st.integers(1, 6))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        # Headers and footers decide most: half of the accidents happen there.
        at = {0: at, 1: at, 2: at % 256, 3: len(data) - 1 - at % min(256, len(data))}[draw(st.integers(0, 3))]
        at = min(at, len(data) - 1)
        match draw(st.integers(0, 7)):
            case 0:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                data[at] = draw(st.integers(0, 255))
            case 2:
                del data[at:]
            case 3:
                del data[at : at + draw(st.integers(1, 64))]
            case 4:
                data[at:at] = data[at : at + draw(st.integers(1, 256))]
            case 5:
                data[at:at] = draw(st.binary(min_size=1, max_size=16))
            case 6:
                width = draw(st.sampled_from([1, 2, 4, 8]))
                number = draw(st.sampled_from(SPECIAL)) % 2 ** (8 * width)
                data[at : at + width] = number.to_bytes(width, draw(st.sampled_from(["little", "big"])))
            case _:
                data = _in_place_of_a_word(data, at, draw(st.sampled_from(CELLS)))
    return bytes(data)


def _in_place_of_a_word(data: bytearray, at: int, word: bytes) -> bytearray:
    """Replace the run of text around a place: a cell of a CSV file, a value of a recipe, a name in a header."""
    stops = b',\n"= :{}[]'
    start, stop = at, at
    while start > 0 and data[start - 1] not in stops and at - start < 64:
        start -= 1
    while stop < len(data) and data[stop] not in stops and stop - at < 64:
        stop += 1
    return data[:start] + word + data[stop:]


def fuzz(
    child: Child,
    reader: str,
    sounds: tuple[bytes, ...],
    *,
    shown: str = "",
    most: int = INPUTS,
    wanted: Callable[[str], bool] | None = lambda outcome: outcome in {"read", "refused"},
) -> None:
    """Put damaged files before a reader and count what becomes of them; with `wanted`, anything else fails."""
    for sound in sounds:
        child.ask(reader, sound)
    counts: Counter[str] = Counter()
    began = time.monotonic()

    @settings(
        max_examples=min(most, INPUTS), deadline=None, derandomize=not LONG, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(damaged(sounds))
    def one(data: bytes) -> None:
        outcome, message = child.ask(reader, data)
        counts[outcome] += 1
        assert wanted is None or wanted(outcome), f"{reader} {outcome}: {message}"

    try:
        one()
    finally:
        record_fuzz(shown or reader, counts, time.monotonic() - began)
    if wanted is not None:
        assert counts["refused"] > INPUTS // 20
