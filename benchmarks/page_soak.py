"""The page under load: many requests, twenty at once, its server killed again and again; the work list must be whole.

Every note has a token of its own, and who gets no answer sends it again: in the end each note must be there once. Of a
copy of a run, or without one of drawn lesions.

    python -m benchmarks.page_soak [RUN] [--requests 10000] [--at-once 20] [--kills 8]
"""

import argparse
import http.client
import itertools
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.page_tables import killed, started
from pipeline.actions.opening import run_path
from pipeline.page.work_list import WorkList

PATHS = ("/v/training/", "/v/training/p/{0}", "/v/training/l/{1}", "/v/training/small/{1}.jpg", "/work", "/work.csv")
NOTES = 0.3
"""Share of the requests that keep a note."""
PAUSE_SECONDS = 0.2


@dataclass
class Soak:
    """A server that is killed, and what became of the requests."""

    command: list[str]
    answers: Counter[int] = field(default_factory=Counter)
    sent_again: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """A server, and how much there is to ask about."""
        self.process, self.client = started(self.command)
        last = json.loads(self.client.ask("/v/training/levels.json")[1])[-1]
        self.patients, self.lesions = last["patients"], last["lesions"]

    def kill(self) -> None:
        """End it, and start another."""
        killed(self.process)
        self.start()

    def drawn(self, number: int) -> tuple[str, bytes | None]:
        """What is asked: an address, or a note to keep."""
        draw = random.Random(number)
        if draw.random() >= NOTES:
            return draw.choice(PATHS).format(draw.randrange(self.patients), draw.randrange(self.lesions)), None
        said = {"token": f"soak-{number}", "view": "training", "row": draw.randrange(self.lesions), "kind": "note"}
        return "/marks", urlencode({**said, "value": str(number)}).encode()

    def send(self, number: int) -> None:
        """One request, again and again until it is answered."""
        path, body = self.drawn(number)
        while True:
            try:
                status, _ = self.client.ask(path, "GET" if body is None else "POST", body)
            except (OSError, http.client.HTTPException):
                status = 403
            if status == 403:  # nobody there, or the next server, whose address is on its way
                with self.lock:
                    self.sent_again += 1
                time.sleep(PAUSE_SECONDS)
                continue
            with self.lock:
                self.answers[status] += 1
            return


def soak(command: list[str], folder: Path, requests: int, at_once: int, kills: int) -> tuple[Soak, list[str]]:
    """Send them all; what is wrong in the end."""
    found = Soak(command)
    found.start()
    done, ends = itertools.count(1), {requests * part // (kills + 1) for part in range(1, kills + 1)}

    def work(number: int) -> None:
        found.send(number)
        if next(done) in ends:
            found.kill()

    try:
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(work, range(requests)))
        wanted = Counter(str(number) for number in range(requests) if found.drawn(number)[1])
    finally:
        killed(found.process)
    states = WorkList(folder).states().values()
    kept = Counter(text for state in states for _, text in (state.notes or {}).values())
    wrong = [f"{count} answers {status}" for status, count in found.answers.items() if status != 200]
    if wanted != kept:
        wrong.append(f"{sum((wanted - kept).values())} notes lost, {sum((kept - wanted).values())} too many")
    return found, wrong


def main() -> None:
    """Print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--kills", type=int, default=8)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        if chosen.run is None:
            size = ["--lesions", "4000", "--patients", "160", "--folder", str(folder)]
            command = [sys.executable, "-m", "benchmarks.page_tables", "--serve", "0", *size]
        else:
            shutil.copytree(run_path(chosen.run), folder, ignore=shutil.ignore_patterns("page"))
            command = [sys.executable, "-m", "fusionnetx", "page", "--no-browser", "--run", str(folder)]
        began = time.perf_counter()
        found, wrong = soak(command, folder, chosen.requests, chosen.at_once, chosen.kills)
    seconds = time.perf_counter() - began
    print(f"{chosen.requests:,} requests, {chosen.at_once} at once, {chosen.kills} kills, {seconds:,.0f} s")
    print(f"sent again {found.sent_again:,} times; answered {dict(found.answers)}")
    print("nothing lost, nothing twice, no error" if not wrong else "; ".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
