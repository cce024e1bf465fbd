import io
import time

import pytest
from rich.console import Console

from data.errors import Interrupted
from pipeline.display import Display
from pipeline.execute import relay
from pipeline.execute.relay import Event, Player, RelayDisplay


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "TELL_SECONDS", 0.0)
    monkeypatch.setattr("pipeline.display.LOG_SECONDS", 0.0)


def worker(owner: str = "0") -> tuple[RelayDisplay, list[Event]]:
    told: list[Event] = []

    def tell(events: list[Event]) -> bool:
        told.extend(events)
        return False

    return RelayDisplay(tell, owner), told


def shown(events: list[Event], said: tuple[str, ...] = ()) -> str:
    page = io.StringIO()
    player = Player(Display(Console(file=page, width=200)), said)
    player.play(events)
    player.end_all()
    return page.getvalue()


def test_what_a_worker_says_is_what_the_driver_shows():
    far, told = worker()
    far.say("[1/6] narrow, fold 0: pauc 0.06")
    far.warn("2 rows hold new values")
    with far.task("training") as progress:
        progress(1, 4, loss=0.25)
    page = shown(told)
    near = io.StringIO()
    display = Display(Console(file=near, width=200))
    display.say("[1/6] narrow, fold 0: pauc 0.06")
    display.warn("2 rows hold new values")
    with display.task("training") as progress:
        progress(1, 4, loss=0.25)
    assert page == near.getvalue()
    assert "training: 1/4" in page


def test_what_many_workers_note_is_shown_once():
    events: list[Event] = []
    for owner in "012":
        far, told = worker(owner)
        far.warn("2 rows hold new values")
        far.say("note: capped at 16")
        far.say("done")
        events += told
    page = shown(events)
    assert page.count("2 rows hold new values") == 1
    assert page.count("capped at 16") == 1
    assert page.count("done") == 3
    assert "2 rows" not in shown(events, said=("2 rows hold new values",))
    assert "capped" not in shown(events, said=("capped at 16",)), "what the driver noted of the data itself"


def test_the_last_step_is_told_however_quick_it_was(monkeypatch: pytest.MonkeyPatch):
    far, told = worker()
    monkeypatch.setattr(relay, "TELL_SECONDS", 60.0)
    with far.task("training") as progress:
        progress(119, 120)
        progress(120, 120)
    assert [event[2:4] for event in told if event[0] == "step"] == [(120, 120)]


def test_a_worker_stops_when_the_driver_wants_it():
    display = RelayDisplay(lambda events: True, "0")
    with pytest.raises(Interrupted):
        display.check_stop()
    display = RelayDisplay(lambda events: bool(events and events[0][0] == "step"), "0")
    with pytest.raises(Interrupted), display.task("training") as progress:
        progress(1, 2)


def test_a_driver_that_was_asked_to_stop_learns_it_from_a_step():
    page = Display(Console(file=io.StringIO()))
    page._stop = 130
    with pytest.raises(Interrupted):
        Player(page).play([("begin", "0/0", "training"), ("step", "0/0", 1, 2, {})])


def test_bars_of_a_dead_worker_are_taken_away():
    player = Player(Display(Console(file=io.StringIO())))
    player.play([("begin", "1/a-5/0", "one"), ("begin", "12/a-6/0", "twelve"), ("begin", "1/b-7/0", "one again")])
    player.end_of("1")
    assert list(player._tasks) == ["12/a-6/0"]
    player.play([("end", "1/a-5/0")])  # arrives late
    player.end_all()
    assert not player._tasks


def test_steps_are_told_now_and_then(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(relay, "TELL_SECONDS", 0.05)
    far, told = worker()
    began = time.monotonic()
    with far.task("training") as progress:
        while time.monotonic() - began < 0.3:
            progress(1, 2)
    assert 2 <= sum(event[0] == "step" for event in told) <= 6
