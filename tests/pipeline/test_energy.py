"""Joules: counters that begin anew, shares of the processor, and reasons where nothing counts."""

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import energy
from pipeline.energy import Meter, Packages, card_joules, processor_seconds
from pipeline.report.account import energy as summed


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """A folder as Linux has it: two packages, a part of one, and the whole machine, which is none."""
    for name, what in (("0", "package-0"), ("1", "package-1"), ("0:0", "core"), ("2", "psys")):
        zone = tmp_path / f"intel-rapl:{name}"
        zone.mkdir()
        (zone / "name").write_text(f"{what}\n")
        (zone / "max_energy_range_uj").write_text("262143328850\n")
        (zone / "energy_uj").write_text("262143000000\n")
    return tmp_path


def count(powercap: Path, name: str, microjoules: int) -> None:
    (powercap / f"intel-rapl:{name}" / "energy_uj").write_text(f"{microjoules}\n")


def test_packages_add_up_and_a_counter_may_begin_anew(powercap: Path) -> None:
    found = Packages(powercap)
    count(powercap, "0", 262143000000 + 300_000)
    for other in ("0:0", "2"):
        count(powercap, other, 262143200000)
    assert found.read() == pytest.approx(0.3)
    count(powercap, "1", 5_000_000)
    assert found.read() == pytest.approx(0.3 + 5 + 0.32885)
    count(powercap, "1", 6_000_000)
    assert found.read() == pytest.approx(0.3 + 6 + 0.32885)


def test_a_step_has_its_share_of_the_processor_seconds(powercap: Path) -> None:
    clock = iter([(10.0, 100.0), (13.0, 106.0), (13.0, 106.0)])
    meter = Meter(Packages(powercap), lambda: next(clock))
    count(powercap, "0", 262143000000 + 328_850)
    assert meter.used() == {"processor_joules": 0.164}


def test_without_a_counter_the_reason_is_said(powercap: Path, tmp_path: Path) -> None:
    nothing = Meter(Packages(tmp_path / "none")).used()
    assert nothing == {"not_measured": f"{tmp_path / 'none'} has no counter of the processor"}
    (powercap / "intel-rapl:1" / "energy_uj").unlink()
    assert "cannot be read" in Meter(Packages(powercap)).used()["not_measured"]
    lost = Meter(found := Packages(tmp_path / "none"))
    assert lost.used().keys() == {"not_measured"}
    assert found.joules == 0


def test_a_counter_that_goes_away_gives_no_figure(powercap: Path) -> None:
    meter = Meter(Packages(powercap))
    (powercap / "intel-rapl:0" / "energy_uj").write_text("")
    assert meter.used().keys() == {"not_measured"}


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="Linux alone tells")
def test_work_is_some_of_all_work() -> None:
    own, every = processor_seconds()
    sum(i * i for i in range(3_000_000))
    more, more_of_all = processor_seconds()
    assert 0 < more - own <= more_of_all - every + 0.1


def test_cards_are_summed_where_this_process_uses_one(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joules = {0: 7_000, 1: 500}

    def devices(count: object) -> int:
        ctypes.cast(count, ctypes.POINTER(ctypes.c_uint))[0] = 2  # type: ignore[arg-type]
        return 0

    def handle(number: int, card: object) -> int:
        ctypes.cast(card, ctypes.POINTER(ctypes.c_void_p))[0] = number + 1  # type: ignore[arg-type]
        return 0

    def used(card: ctypes.c_void_p, into: object) -> int:
        ctypes.cast(into, ctypes.POINTER(ctypes.c_ulonglong))[0] = joules[int(card.value or 0) - 1]  # type: ignore[arg-type]
        return 0

    nvml = SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetCount_v2=devices,
        nvmlDeviceGetHandleByIndex_v2=handle,
        nvmlDeviceGetTotalEnergyConsumption=used,
    )
    assert card_joules(lambda name: nvml) == 7.5
    assert card_joules(lambda name: SimpleNamespace(nvmlInit_v2=lambda: 9)) is None
    monkeypatch.setattr(energy, "card_joules", lambda: card_joules(lambda name: nvml))
    meter = Meter(Packages(powercap))
    joules[1] += 250
    assert "card_joules" not in meter.used()
    monkeypatch.setattr(energy, "uses_card", lambda: True)
    assert meter.used()["card_joules"] == 0.25


def test_the_account_says_of_how_many_steps() -> None:
    steps = [
        {"energy": {"processor_joules": 2.5}},
        {"energy": {"processor_joules": 1.0}},
        {"energy": {"not_measured": "x"}},
    ]
    assert summed([*steps, {}]) == {
        "steps": 4,
        "processor_joules": {"joules": 3.5, "steps": 2},
        "card_joules": None,
        "not_measured": ["a version made them that did not measure", "x"],
    }
