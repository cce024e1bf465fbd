"""Studies in a real PostgreSQL, which this file starts and stops: shared, orphaned, interrupted."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

from data.errors import DataError
from tabular import slots, study
from tabular.recipe import Space, TuneRecipe
from tabular.slots import RETRY_OF, WORKER, fill, is_dead, slots_of
from tabular.study import open_study, quiet, suggest
from tabular.tune import bin_folds

pytestmark = pytest.mark.postgres
psycopg = pytest.importorskip("psycopg", reason="needs the extra [cluster]")
WORKER_FILE = Path(__file__).with_name("tuning_worker.py")
ROOT = Path(__file__).parents[2]
RECIPE = TuneRecipe(startup_trials=3)
SPACE = {"rate": Space(low=0.01, high=1.0, log=True)}


def programs() -> Path | None:
    """The folder of initdb and pg_ctl: on the path, or where Debian keeps them off it."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return debian[-1].parent if debian else None


class Server:
    """A PostgreSQL on a free port of this machine, in a folder of its own."""

    def __init__(self, folder: Path, bin_dir: Path, user: str | None) -> None:
        self._folder, self._bin, self._user = folder, bin_dir, user
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # Trust is for this folder's server alone, which listens on the loopback and dies with the test.
        self._call("initdb", "--auth=trust", "--username=tuner", "--encoding=UTF8", "--locale=C", "--no-sync")

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "--pgdata", str(self._folder / "data"), *arguments]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        with (self._folder / "calls.log").open("ab") as log:
            subprocess.run(
                command, check=True, user=self._user, cwd=self._folder, env=environment, stdout=log, stderr=log
            )

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder} -F -c shared_buffers=16MB"
        self._call("pg_ctl", "--wait", "--log", str(self._folder / "server.log"), "--options", options, "start")

    def stop(self) -> None:
        self._call("pg_ctl", "--wait", "--mode", "immediate", "stop")

    def new_database(self, name: str) -> str:
        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=tuner dbname=postgres", autocommit=True) as link:
            link.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://tuner@127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    bin_dir = programs()
    if bin_dir is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed")
    user = None
    if os.geteuid() == 0:
        # It refuses to run as root.
        user = next((entry.pw_name for entry in pwd.getpwall() if entry.pw_name == "postgres"), None)
        if user is None:
            pytest.skip("root needs a user named postgres to run PostgreSQL as")
    folder = Path(tempfile.mkdtemp(prefix="fusionnetx-postgres-"))
    try:
        if user:
            shutil.chown(folder, user)
        running = Server(folder, bin_dir, user)
        running.start()
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "GRACE_SECONDS", 1)
    monkeypatch.setattr(slots, "LOOK_SECONDS", 0.1)


def wait_for(condition: Callable[[], bool], processes: list["subprocess.Popen[bytes]"]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert any(process.poll() is None for process in processes), "all workers ended"
        assert time.monotonic() < deadline, "waited two minutes"
        time.sleep(0.05)


def the_study(url: str) -> optuna.Study:
    """The study as a bystander sees it: without failing stale trials or queueing anything."""
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


@pytest.mark.slow
def test_two_processes_share_a_study_and_one_is_killed(server: Server) -> None:
    url, wanted = server.new_database("shared"), 7
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(WORKER_FILE), url, str(wanted)]
    workers = [subprocess.Popen(command, env=environment) for _ in range(2)]

    def trials_of(process: "subprocess.Popen[bytes]") -> list[optuna.trial.FrozenTrial]:
        end = f":{process.pid}"
        return [trial for trial in shared.get_trials() if trial.user_attrs.get(WORKER, "").endswith(end)]

    def began() -> bool:
        with psycopg.connect(url.replace("+psycopg", "")) as link:
            row = link.execute("SELECT to_regclass('trials')").fetchone()
            return bool(row[0]) and bool(link.execute("SELECT 1 FROM trials LIMIT 1").fetchone())

    def victim_is_within_a_trial() -> bool:
        own = trials_of(workers[1])
        return len(own) > 1 and own[-1].state is TrialState.RUNNING and bool(own[-1].intermediate_values)

    try:
        wait_for(began, workers)
        with quiet():
            shared = the_study(url)
        wait_for(lambda: victim_is_within_a_trial() and bool(trials_of(workers[0])), workers)
        workers[1].kill()
        workers[1].wait()
        (orphan,) = (trial for trial in trials_of(workers[1]) if trial.state is TrialState.RUNNING)
        assert workers[0].wait(timeout=120) == 0
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()

    with quiet():
        assert is_dead(shared.trials[orphan.number])
        (retry,) = (trial for trial in shared.trials if trial.user_attrs.get(RETRY_OF) == orphan.number)
        assert retry.params == orphan.params, "the orphan was not tried again as it was"
        assert retry.state is TrialState.COMPLETE
        done = [trial for trial in shared.trials if trial.state is TrialState.COMPLETE]
        assert len(done) == wanted
        assert sorted(t.number for t in slots_of(shared)) == sorted(t.number for t in done)
        assert len({tuple(sorted(trial.params.items())) for trial in done}) == wanted, "a trial was done twice"
        assert {trial.user_attrs[WORKER].split(":")[1] for trial in done} == {str(w.pid) for w in workers}
        alone_is_the_same(done)


def alone_is_the_same(done: list[optuna.trial.FrozenTrial]) -> None:
    specification = importlib.util.spec_from_file_location("tuning_worker", WORKER_FILE)
    assert specification is not None
    assert specification.loader is not None
    worker = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(worker)
    binned, _ = bin_folds(
        worker.MEMBER, worker.recipe_of(1), worker.folds(), seed=worker.SEED, threads=1, searched=worker.SPACE
    )
    for trial in done:
        candidate = worker.MEMBER.with_parameters(trial.params)
        assert trial.values == [fmean(fold.score(candidate) for fold in binned)]


def test_several_workers_may_find_the_database_empty(server: Server) -> None:
    for attempt in range(3):
        url = server.new_database(f"empty_{attempt}")
        with quiet(), ThreadPoolExecutor(6) as pool:
            studies = list(pool.map(lambda _, url=url: open_study(url, "s", RECIPE), range(6)))
            studies[0].enqueue_trial({"rate": 0.5})
            assert [len(one.trials) for one in studies] == [1] * 6


@pytest.mark.usefixtures("quick")
def test_a_worker_killed_before_its_trial_drew_anything_is_replaced(server: Server) -> None:
    url = server.new_database("early")
    with quiet():
        with pytest.warns(UserWarning, match="Heartbeat"):
            open_study(url, "s", RECIPE).ask()
        survivor = open_study(url, "s", RECIPE)
        fill(survivor, lambda trial: float(suggest(trial, SPACE)["rate"]), 3, 1, lambda done: None)
    assert [trial.state for trial in survivor.trials].count(TrialState.COMPLETE) == 3
    assert is_dead(survivor.trials[0])
    assert [trial.user_attrs.get(RETRY_OF) for trial in survivor.trials if RETRY_OF in trial.user_attrs] == [0]


@pytest.mark.usefixtures("quick")
def test_a_server_that_goes_away_is_one_message_and_the_study_goes_on(server: Server) -> None:
    url = server.new_database("outage")

    def objective(trial: optuna.Trial) -> float:
        if trial.number == 1 and not outages:
            outages.append(trial.number)
            server.stop()
        return float(suggest(trial, SPACE)["rate"])

    outages: list[int] = []
    with quiet():
        first = open_study(url, "s", RECIPE)
        with pytest.raises(DataError, match=r"storage stopped answering .* start the same command again") as caught:
            fill(first, objective, 4, 1, lambda done: None)
        server.start()
        assert "\n" not in str(caught.value)
        again = open_study(url, "s", RECIPE)
        fill(again, objective, 4, 1, lambda done: None)
        assert [trial.state for trial in slots_of(again)] == [TrialState.COMPLETE] * 4
