"""Joules that a step took, where the machine counts them: processor packages (RAPL), and graphics cards (NVML).

A package counts for every program on it, so a step gets its own share of the processor seconds that all programs had
meanwhile: steps side by side share what was used, and nothing is counted twice. Disks and fans are in no figure.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
Seconds = Callable[[], tuple[float, float]]
OFTEN_SECONDS = 60.0
"""A counter begins anew every 262 kJ: after four minutes at 1,000 W."""


@dataclass
class Packages:
    """Joules of all processor packages since this was made."""

    folder: Path = POWERCAP
    joules: float = 0.0
    trouble: str = ""
    """Why there is no figure."""
    last: dict[Path, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        try:
            named = {path.parent: path.read_text() for path in self.folder.glob("intel-rapl:*/name")}
            self.last = {path: whole(path / "energy_uj") for path, name in named.items() if name.startswith("package")}
        except (OSError, ValueError) as error:
            self.trouble = f"the processor's counter cannot be read ({error})"
        if not self.last and not self.trouble:
            self.trouble = f"{self.folder} has no counter of the processor"

    def read(self) -> float:
        """Joules so far."""
        with self.lock:
            try:
                for path, before in self.last.items():
                    now = whole(path / "energy_uj")
                    begun_anew = whole(path / "max_energy_range_uj") if now < before else 0
                    self.joules += (now - before + begun_anew) / 1e6
                    self.last[path] = now
            except (OSError, ValueError) as error:
                self.trouble = f"the processor's counter cannot be read ({error})"
            return self.joules


def whole(path: Path) -> int:
    """The number in a file."""
    return int(path.read_text())


@cache
def packages() -> Packages:
    """Those of this machine, read often enough to see each counter begin anew."""
    found = Packages()

    def watch() -> None:
        while not threading.Event().wait(OFTEN_SECONDS):
            found.read()

    if not found.trouble:
        threading.Thread(target=watch, daemon=True, name="energy").start()
    return found


def processor_seconds(stat: Path = Path("/proc/stat")) -> tuple[float, float]:
    """Of this process with the children that have ended, and of all programs."""
    ticks = [int(word) for word in stat.read_text().split("\n", 1)[0].split()[1:]]
    # All but idle, waiting for a disk, and guests, who are counted among the first two.
    busy = sum(ticks[:8]) - ticks[3] - ticks[4]
    return sum(os.times()[:4]), busy / os.sysconf("SC_CLK_TCK")


def card_joules(load: Callable[[str], Any] = ctypes.CDLL) -> float | None:
    """Of all graphics cards since their driver was loaded; None where there are none, or they do not count."""
    try:
        nvml = load("libnvidia-ml.so.1")
        count, card, used = ctypes.c_uint(), ctypes.c_void_p(), ctypes.c_ulonglong()
        if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) or not count.value:
            return None
        total = 0
        for number in range(count.value):
            if nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(card)):
                return None
            if nvml.nvmlDeviceGetTotalEnergyConsumption(card, ctypes.byref(used)):
                return None
            total += used.value
    except (OSError, AttributeError):
        return None
    return total / 1e3


def uses_card() -> bool:
    """Whether this process has work on a graphics card."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


class Meter:
    """What the counters said when a step began."""

    def __init__(self, of: Packages | None = None, seconds: Seconds = processor_seconds) -> None:
        self.of, self.seconds, self.card = of or packages(), seconds, card_joules()
        self.joules, self.began = (0.0, (0.0, 0.0)) if self.of.trouble else (self.of.read(), seconds())

    def used(self) -> dict[str, Any]:
        """Joules since then, of the cards too where this process works on one, or why they are not known."""
        cards = card_joules() if uses_card() else None
        known = {} if cards is None or self.card is None else {"card_joules": round(cards - self.card, 3)}
        joules = self.of.read()
        if self.of.trouble:
            return {**known, "not_measured": self.of.trouble}
        own, every = (now - before for now, before in zip(self.seconds(), self.began, strict=True))
        share = min(1.0, own / every) if every > 0 else 1.0
        return {**known, "processor_joules": round(share * (joules - self.joules), 3)}
