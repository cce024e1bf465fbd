"""The page of the finished tiny run, served once to a browser that is started once."""

import http.client
import io
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.page.guard import LEADS_ON
from pipeline.page.page import Page
from tests.conftest import one_thread_and


@dataclass(frozen=True)
class Served:
    """A page, how to reach it, and its folder."""

    page: Page
    host: str
    base: str
    token: str
    address: str

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """One request as the page's own browser would make it, with headers that replace or leave out (`-`) others."""
        given = {"host": self.host, "cookie": f"fusionnetx={self.token}", "origin": f"http://{self.host}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in given.items():
                if value != "-":
                    connection.putheader(name, value)
            if body is not None and "content-length" not in given:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            said = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, said, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()


@pytest.fixture(scope="session")
def served(finished_run: Path, cohort_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from pipeline.actions.opening import surroundings
    from pipeline.display import Display
    from pipeline.inputs import Inputs
    from pipeline.page.app import application
    from pipeline.page.opened import Opened
    from pipeline.page.serve import bound, server
    from pipeline.run import Run

    folder = shutil.copytree(finished_run, tmp_path_factory.mktemp("page") / "tiny")
    with one_thread_and(cohort_dir.parent):
        runtime = surroundings(Display(Console(file=io.StringIO())))
        page = Page.of(Opened(Inputs(Run.open(folder), runtime), runtime))
        taken = bound(0)
        guard = application(page, f"127.0.0.1:{taken.getsockname()[1]}")
        running = server(guard)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        yield Served(page, guard.host, guard.base, guard.token, guard.address)
        running.should_exit = True
        thread.join(10)
        page.explainer.worker.shutdown()
        page.arrivals.worker.shutdown()
        taken.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's own browser; without it the tests of the page in a browser are skipped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass(frozen=True)
class Window:
    """A window of the browser, and everything that its console complained of."""

    at: Any
    complaints: list[str]


@pytest.fixture
def window(chromium: Any, served: Served, tmp_path: Path) -> Iterator[Window]:
    """A new window that has opened the address of the page; no test may leave a complaint."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    found = Window(context.new_page(), [])
    found.at.on("console", lambda one: found.complaints.append(one.text) if one.type in ("error", "warning") else None)
    found.at.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.at.set_default_timeout(20_000)
    # As a browser that is started by a file: from elsewhere.
    (tmp_path / "open.html").write_text(LEADS_ON.format(served.address, "data:,"))
    found.at.goto((tmp_path / "open.html").as_uri())
    found.at.wait_for_url(f"http://{served.host}{served.base}/v/training/")
    yield found
    context.close()
    assert found.complaints == []
