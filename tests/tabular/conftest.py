"""A small table of lesions whose answer depends on metadata, a category and an image column; and a PostgreSQL."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from data.matrix import Matrix
from tabular.tuning.binned_folds import FoldData

if TYPE_CHECKING:
    import optuna

N_LESIONS = 900
N_PATIENTS = 90


@dataclass(frozen=True)
class Table:
    """Lesions with their answers and patients."""

    matrix: Matrix
    target: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]

    @property
    def train_rows(self) -> npt.NDArray[np.int64]:
        """Four fifths of the patients."""
        return np.flatnonzero(self.groups % 5 > 0)

    @property
    def held_out_rows(self) -> npt.NDArray[np.int64]:
        """The other patients."""
        return np.flatnonzero(self.groups % 5 == 0)


def rows_of(matrix: Matrix, rows: npt.NDArray[np.int64]) -> Matrix:
    return Matrix(matrix.values[rows], matrix.names, matrix.families, matrix.categorical, matrix.image)


def make_table(seed: int = 0, lesions: int = N_LESIONS) -> Table:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(lesions, 7)).astype(np.float32)
    values[:, 2] = rng.integers(0, 4, lesions)
    signal = values[:, 0] + values[:, 5] + 1.5 * (values[:, 2] == 1) + 0.4 * rng.normal(size=lesions)
    values[rng.random(lesions) < 0.1, 1] = np.nan
    values[rng.random(lesions) < 0.1, 2] = np.nan
    matrix = Matrix(
        values=values,
        names=("size mm", "age", "site", "border[0]", "colour", "vit logit", "cnn logit"),
        families=("size", "age", "site", "border", "colour", "image", "image"),
        categorical=(2,),
        image=(5, 6),
    )
    target = (signal > np.quantile(signal, 0.9)).astype(np.int64)
    return Table(matrix, target, rng.integers(0, N_PATIENTS, lesions))


@pytest.fixture(scope="session")
def table() -> Table:
    return make_table()


@pytest.fixture(scope="session")
def folds_of(table: Table) -> Callable[[int], Iterator[FoldData]]:
    """Three folds by patient, made with a seed."""

    def make(seed: int) -> Iterator[FoldData]:
        fold_of = np.random.default_rng(seed).permutation(N_PATIENTS)[table.groups] % 3
        for fold in range(3):
            train, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            yield FoldData(
                train=rows_of(table.matrix, train),
                train_target=table.target[train],
                train_groups=table.groups[train],
                held_out=rows_of(table.matrix, held_out),
                held_out_target=table.target[held_out],
            )

    return make


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
        import psycopg

        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=tuner dbname=postgres", autocommit=True) as link:
            link.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://tuner@127.0.0.1:{self.port}/{name}"

    def study(self, url: str) -> "optuna.Study":
        """The only study of a database as a bystander sees it: without failing stale trials or queueing anything."""
        import optuna
        from sqlalchemy.pool import NullPool

        storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
        (name,) = optuna.get_all_study_names(storage)
        return optuna.load_study(study_name=name, storage=storage)


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
