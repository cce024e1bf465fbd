"""The page with as many lesions as ISIC 2024 has: how long a view takes, and what memory the server needs.

A thousand patients with 400,000 lesions are drawn (tables alone; a picture is drawn when it is asked for) and served by
a process of its own, as `fusionnetx page` would serve a run.

    python -m benchmarks.page_tables [--lesions 400000] [--patients 1000] [--serve PORT]
"""

import argparse
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from data.cohort import Cohort
from data.errors import DataError
from data.schemas.isic2024 import FORBIDDEN, TASK
from data.scores.calibrate import calibrate
from data.scores.conformal import set_rule
from data.synthetic.isic2024.cohort import DrawnLesions, draw_cohort
from data.synthetic.isic2024.images import encode
from data.synthetic.isic2024.recipe import SyntheticRecipe
from features.recipe import FeatureRecipe
from pipeline.answers import Said
from pipeline.decision import Decision, Known
from pipeline.page.app import application
from pipeline.page.measured import Measured
from pipeline.page.page import Page
from pipeline.page.serve import bound, server
from pipeline.page.view import View
from pipeline.page.work_list import WorkList
from pipeline.seen import seen_in


class DrawnImages:
    """Pictures that are drawn when they are asked for."""

    def __init__(self, lesions: DrawnLesions) -> None:
        self.lesions = lesions

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Every lesion; the table is in their order."""
        return np.array(self.lesions.table["isic_id"].to_list())

    fingerprint = "drawn"

    def read(self, lesion_id: str) -> bytes:
        """Draw one."""
        row = int(np.searchsorted(self.ids, lesion_id))
        if row == len(self.ids) or self.ids[row] != lesion_id:
            raise DataError(f"there is no {lesion_id}")
        return encode(self.lesions.looks[row])


def drawn_view(lesions: int, patients: int) -> View:
    """A view of drawn lesions, with scores that know a little."""
    drawn, _ = draw_cohort(SyntheticRecipe(lesions=lesions, patients=patients, images=False, seed=5))
    cohort = Cohort(drawn.table, TASK, labelled=True, forbidden=FORBIDDEN)
    rng = np.random.default_rng(0)
    score = 1 / (1 + np.exp(5 - 3 * cohort.target - rng.normal(size=lesions)))
    found = calibrate(cohort.target, score, rng.integers(0, 5, lesions), "platt")
    groups = cohort.groups
    decision = Decision(
        found.calibrator,
        tuple(map(Known(cohort.target, score, groups, np.zeros(lesions, np.int64)).threshold, (0.8, 0.9, 0.95))),
        set_rule(cohort.target, score, groups, 0.9),
        seen_in(cohort, FeatureRecipe()),
    )
    return View(
        key="training",
        title="Drawn lesions",
        said=Said(cohort, score, np.zeros(lesions, dtype=np.bool_)),
        columns={"blend": score},
        calibrated=found.cross_fitted,
        decision=decision,
        images=DrawnImages(drawn),
        measured=Measured.of(cohort.target, score),
    ).warm()


def drawn_page(view: View, folder: Path) -> Page:
    """A page of one view, without a run: nothing can be explained or predicted."""
    run = SimpleNamespace(name="drawn", folder=folder, invented=True)
    opened: Any = SimpleNamespace(run=run, views={"training": view}, trouble=None)
    nobody: Any = SimpleNamespace(kept=lambda *_: None, jobs={})
    return Page(opened, WorkList(folder), nobody, nobody)


def serve(lesions: int, patients: int, folder: Path, port: int) -> None:
    """Serve, and print the address as `fusionnetx page` does."""
    view = drawn_view(lesions, patients)
    taken = bound(port)
    guard = application(drawn_page(view, folder), f"127.0.0.1:{taken.getsockname()[1]}")
    print(guard.address, flush=True)
    server(guard).run(sockets=[taken])


class Client:
    """Asks a page as a browser does that was given its address."""

    def __init__(self, address: str) -> None:
        found = re.fullmatch(r"http://([^/]+)(/\w+)/\?token=(\S+)", address.strip())
        assert found is not None, address
        self.host, self.base, self.token = found.groups()

    def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        """One request."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            headers = {"cookie": f"fusionnetx={self.token}", "origin": f"http://{self.host}"}
            if body is not None:
                headers |= {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
            connection.request(method, self.base + path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def started(command: list[str]) -> tuple["subprocess.Popen[str]", Client]:
    """A server in a process of its own, once it has printed its address."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "300"})
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("http://"):
            return process, Client(line)
    raise SystemExit(f"the server ended: {command}")


def killed(process: "subprocess.Popen[str]") -> None:
    """End a server as a power cut would."""
    process.kill()
    process.communicate()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lesions", type=int, default=400_000)
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--serve", type=int, help="serve the drawn lesions on this port (0: any), until stopped")
    parser.add_argument("--folder", type=Path, help="where its work list is; default: a folder that is removed")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.serve is not None:
            serve(chosen.lesions, chosen.patients, chosen.folder or Path(scratch), chosen.serve)
            return
        me = [sys.executable, "-m", "benchmarks.page_tables", "--serve", "0"]
        process, client = started([*me, "--lesions", str(chosen.lesions), "--patients", str(chosen.patients)])
        watched = psutil.Process(process.pid)
        try:
            print(f"{chosen.lesions:,} lesions of {chosen.patients:,} patients\n")
            print(f"{'':34}{'wall s':>8}{'CPU s':>8}{'kB':>8}{'MiB':>8}")
            for title, path in (
                ("list of patients, first time", "/v/training/"),
                ("list of patients, again", "/v/training/?level=50"),
                ("a search", "/v/training/?search=isic_000&part=1"),
                ("three filters", "/v/training/?site=posterior+torso&uncertain=1&youngest=60&part=1"),
                ("patient of most lesions", "/v/training/p/{most}"),
                ("the same, again", "/v/training/p/{most}"),
                ("a lesion", "/v/training/l/7"),
                ("a small picture", "/v/training/small/7.jpg"),
            ):
                if "{most}" in path:
                    _, listed = client.ask("/v/training/?sort=lesions&part=1")
                    path = path.format(most=re.findall(rb"/p/(\d+)", listed)[0].decode())
                began, used = time.perf_counter(), sum(watched.cpu_times()[:2])
                status, content = client.ask(path)
                wall, cpu = time.perf_counter() - began, sum(watched.cpu_times()[:2]) - used
                assert status == 200, (path, status)
                memory = watched.memory_info().rss / 2**20
                print(f"{title:34}{wall:8.2f}{cpu:8.2f}{len(content) / 1000:8.0f}{memory:8.0f}")
        finally:
            killed(process)


if __name__ == "__main__":
    main()
