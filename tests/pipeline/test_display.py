import io
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from data.errors import Interrupted
from pipeline.bars import Pace, format_figures, short, shortened
from pipeline.display import LOG_SECONDS, Display


def make_display(terminal: bool = False) -> tuple[Display, io.StringIO]:
    page = io.StringIO()
    return Display(Console(file=page, force_terminal=terminal, width=120, highlight=False, soft_wrap=True)), page


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds since the start, for a test to set."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_a_plain_log_gets_a_line_now_and_then(clock: list[float]):
    display, page = make_display()
    with display.task("training") as progress:
        for step in range(1, 101):
            clock[0] += LOG_SECONDS / 8
            progress(step, 100, loss=0.25, images_per_second=1234.5)
    lines = page.getvalue().splitlines()
    assert len(lines) == 12
    assert lines[0] == "training: 8/100, 172 s left  loss 0.25  images/s 1,234"
    assert "\x1b" not in page.getvalue()


def test_quick_work_leaves_the_log_alone(clock: list[float]):
    display, page = make_display()
    with display.task("training") as progress:
        progress(1, 2)
        progress(2, 2)
    assert page.getvalue() == ""


def test_a_terminal_gets_bars_that_go_away_even_after_an_error():
    display, page = make_display(terminal=True)

    def work() -> None:
        with display.task("stage") as outer, display.task("epoch") as inner:
            outer(1, 3)
            inner(2, 5, loss=0.5)
            display.say("a line")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert "a line" in page.getvalue()
    with display.task("next") as progress:
        progress(1, 1)
    assert page.getvalue().count("\x1b[?25l") == page.getvalue().count("\x1b[?25h") == 2, "the cursor comes back"


def test_what_is_printed_is_not_taken_for_markup():
    display, page = make_display()
    display.say("[1/6] left, fold 0; image_models[0].epochs 1 -> 2; [/] [red")
    display.warn("the file [draft].csv")
    assert page.getvalue() == (
        "[1/6] left, fold 0; image_models[0].epochs 1 -> 2; [/] [red\nwarning: the file [draft].csv\n"
    )


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_request_to_stop_waits_for_the_step(terminal: bool, number: int, code: int):
    display, page = make_display(terminal)
    finished = []

    def work() -> None:
        with display.listening(), display.task("training") as progress:
            for step in range(5):
                if step == 2:
                    os.kill(os.getpid(), number)
                finished.append(step)
                progress(step, 5)

    with pytest.raises(Interrupted) as caught:
        work()
    assert caught.value.exit_code == code
    assert finished == [0, 1, 2]
    assert "stopping after this step" in page.getvalue()


def test_a_second_request_stops_at_once():
    display, _ = make_display()

    def work() -> None:
        with display.listening():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("went on")

    with pytest.raises(Interrupted) as caught:
        work()
    assert caught.value.exit_code == 143


def test_the_handlers_of_before_come_back():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    display, _ = make_display()

    def work() -> None:
        with display.listening():
            assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert {number: signal.getsignal(number) for number in before} == before


def test_without_a_request_nothing_stops():
    display, _ = make_display()
    with display.listening():
        display.check_stop()


def test_figures_are_short():
    figures = {"loss": 0.123456, "images_per_second": 1234.56, "rate": 0.00001, "done": 0.0}
    assert format_figures(figures) == "loss 0.1235  images/s 1,235  rate 1.0e-05  done 0"
    assert short(-250.4) == "-250"
    assert short(float("nan")) == "nan"


class Torn(io.RawIOBase):
    """A terminal on which the user asks to stop in the middle of a line."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.asked = descriptor, False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def write(self, data: Any) -> int:
        if not self.asked:
            self.asked = True
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)  # Python runs the handler here
        return os.write(self.descriptor, data)


def test_a_request_in_the_middle_of_a_print_is_no_error():
    """A buffered writer cannot be entered again: a handler that printed through it would end the run with a bug."""
    reading, writing = os.pipe()
    with io.TextIOWrapper(io.BufferedWriter(Torn(writing)), write_through=True) as page:
        display = Display(Console(file=page, width=120))
        with display.listening():
            display.say("a line")
            page.flush()
            with pytest.raises(Interrupted):
                display.check_stop()
        said = os.read(reading, 1000).decode()
    assert said.splitlines() == ["stopping after this step; once more to stop at once", "a line"]
    os.close(reading)
    os.close(writing)


FIGURES = {"loss": 0.123456, "images_per_second": 12345.6, "learning_rate": 0.0001, "score": 0.81234}


@pytest.mark.parametrize("width", [40, 60, 80, 100, 240])
def test_a_bar_stays_on_one_line_and_its_figures_give_way_first(width: int):
    page = io.StringIO()
    display = Display(Console(file=page, force_terminal=True, width=width, highlight=False, color_system=None))
    with display.task("[12/20] image model convnextv2_nano_relabelled, fold 3: training") as progress:
        progress(212_800, 401_059, **FIGURES)
        assert display._bars is not None
        seen = io.StringIO()
        Console(file=seen, width=width, color_system=None).print(display._bars.get_renderable())
    lines = seen.getvalue().splitlines()
    assert len(lines) == 1
    assert len(lines[0].rstrip()) <= width
    assert "fold 3" in lines[0]
    assert ("training" in lines[0]) == (width >= 60)
    assert "212800/401059" in lines[0]
    assert "--:--" in lines[0]
    assert "━" in lines[0]
    assert ("score 0.8123" in lines[0]) == (width == 240)


def test_what_took_a_while_leaves_a_line(clock: list[float]):
    display, page = make_display(terminal=True)
    with display.task("packing") as progress:
        clock[0] += 3.0
        progress(5, 5)
    assert "packing: 5/5, 3 s" in page.getvalue()


def test_labels_lose_their_first_words():
    label = "image model convnextv2_nano, fold 3: training"
    assert shortened(label, 60) == label
    assert shortened(label, 40) == "… convnextv2_nano, fold 3: training"
    assert shortened("averylongwordwithoutanygap", 10) == "… averylon"


def test_the_first_word_of_work_in_steps_is_no_speed(clock: list[float]):
    display, page = make_display()
    with display.task("checking") as progress:
        clock[0] += LOG_SECONDS
        progress(256, 1024)
        clock[0] += LOG_SECONDS
        progress(512, 1024)
    assert page.getvalue().splitlines() == ["checking: 256/1024", "checking: 512/1024, 30 s left"]


@pytest.mark.parametrize("say", [Display.warn, Display.fail])
@pytest.mark.parametrize("width", range(20, 41, 4))
def test_a_warning_breaks_between_words(say: Callable[[Display, str], None], width: int):
    page = io.StringIO()
    text = "Histologie: it alone tells the answer; left out as forbidden"
    say(Display(Console(file=page, force_terminal=True, width=width, color_system=None)), text)
    assert page.getvalue().split()[1:] == text.split()
    assert all(len(line) <= width for line in page.getvalue().splitlines())


def test_the_time_left_is_that_of_the_whole_work(clock: list[float]):
    """Two of five jobs that end in one second take as long as they took."""
    pace = Pace()
    assert pace.ends(0, 5) is None
    clock[0] = 59.0
    assert pace.ends(1, 5) == pytest.approx(59 * 5)
    clock[0] = 60.0
    assert pace.ends(2, 5) == pytest.approx(150.0)


def test_nothing_is_drawn_in_the_middle_of_a_print():
    console = Display().console
    entered = threading.Event()

    def draw() -> None:
        with console:
            entered.set()

    with console:
        thread = threading.Thread(target=draw)
        thread.start()
        assert not entered.wait(0.2)
    thread.join(5)
    assert entered.is_set()
