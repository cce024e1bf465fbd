"""New patients: what a browser sent is kept in the run folder, asked of the models by one worker, and made a view."""

import io
import re
import secrets
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from rich.console import Console

from data.cohort import Cohort
from data.errors import DataError, FusionNetXError
from data.files import read_json, write_json
from data.held import scratch_folder
from data.images.sources import SUFFIXES, ImageSource
from data.progress import Progress
from data.recipe import read_folder, read_test, reader_of
from data.synthetic.recipe import TwinRecipe
from data.synthetic.stand_in import is_invented
from data.tables.any_table import read_any
from data.tables.csv import ROW
from pipeline.answer_files import write_answers
from pipeline.answers import answer_frame
from pipeline.columns import flat, read_columns, stacked, write_table
from pipeline.display import Display
from pipeline.explain.population import Population, new_population
from pipeline.notes import strangers
from pipeline.page.opened import Opened, stored_scores
from pipeline.page.view import View
from pipeline.printable import printable
from pipeline.report.finished import SUBJECT

FOLDER = Path("page") / "new"
TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".parquet")
MOST_UPLOAD_BYTES = 2 * 2**30
MOST_FILES = 20_000
DEMO_LESIONS, DEMO_SEED = 240, 77
KEY = re.compile(r"new-[0-9a-f]{12}")
SCORES, COLUMNS, ABOUT = "scores.parquet", "columns.parquet", "about.json"

Sent = Sequence[tuple[str, BinaryIO]]
"""Names as the browser gave them, which are never used as paths, and contents."""


@dataclass
class Job:
    """An upload at work."""

    key: str
    title: str
    state: str = "working"
    """`working`, `done` or `failed`."""
    label: str = "waiting for the models"
    done: int = 0
    total: int = 0
    said: list[str] = field(default_factory=list)
    """Remarks and warnings, as a terminal would show them."""
    error: str = ""


class JobDisplay(Display):
    """Shows in a job what a terminal would show."""

    def __init__(self, job: Job) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.job = job

    def say(self, text: str, style: str | None = None) -> None:
        """Keep a line."""
        self.job.said.append(printable(text))

    def warn(self, text: str) -> None:
        """The same for what deserves a look."""
        self.say(f"Warning: {text}")

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        """How far a piece of work is."""
        self.job.label, self.job.done, self.job.total = label, 0, 0

        def progress(done: int, total: int, **figures: float) -> None:
            self.job.done, self.job.total = done, total

        yield progress


class Arrivals:
    """The new patients of a run."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.folder = opened.run.folder / FOLDER
        self.jobs: dict[str, Job] = {}
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="predicting")
        self._lock = threading.Lock()
        for path in sorted(self.folder.glob("new-*")) if self.folder.is_dir() else []:
            if KEY.fullmatch(path.name):
                self._reopen(path)

    def _reopen(self, folder: Path) -> None:
        """Patients that were given before, as they were answered then; a damaged folder is left out and said."""
        job = Job(folder.name, folder.name, state="done", label="")
        try:
            if not (folder / ABOUT).exists():
                raise DataError(
                    "the page was ended before these patients were answered; remove them, and give them again"
                )
            about = read_json(folder / ABOUT)
            job.title = str(about["title"])
            if about["mark"] != self.opened.mark():
                raise DataError("the models have been trained again since; give the patients again")
            cohort, source, _ = read_test(self.opened.run.recipe.data, *files_in(folder))
            self.opened.views[folder.name] = self._view(folder, job.title, self._population(folder, cohort, source))
        except (OSError, ValueError, KeyError, TypeError, FusionNetXError) as error:
            job.state, job.error = "failed", str(error)
        self.jobs[folder.name] = job

    def receive(self, sent: Sent) -> Job:
        """Keep what was sent and begin; DataError for what is no table, or too much."""
        tables = [one for one in sent if suffix(one[0]) in TABLES]
        if len(tables) != 1:
            raise DataError(
                f"give one table ({', '.join(TABLES)}) and its images; there {'are' if tables else 'is'} "
                f"{len(tables) or 'no table'} among the {len(sent)} files"
            )
        if len(sent) > MOST_FILES:
            raise DataError(f"at most {MOST_FILES:,} files are taken at once; give the images as one zip file")
        name, content = tables[0]
        title = PurePosixPath(name.replace("\\", "/")).name[:120]

        def fill(folder: Path, display: Display) -> None:
            del display
            keep_images(folder, [one for one in sent if one[0] != name])
            with (folder / f"table{suffix(name)}").open("wb") as handle:
                shutil.copyfileobj(content, handle)

        # Before it is answered, while the browser's files are still there.
        return self._begin(title, fill, at_once=True)

    def demo(self) -> Job:
        """A patient who does not exist, made up and sent the same way."""
        return self._begin("Demo patient (invented)", lambda folder, display: write_demo(self.opened, folder, display))

    def _begin(self, title: str, fill: Callable[[Path, Display], None], *, at_once: bool = False) -> Job:
        job = Job("new-" + secrets.token_hex(6), title)
        folder = self.folder / job.key
        folder.mkdir(mode=0o700, parents=True)
        display = JobDisplay(job)
        try:
            if at_once:
                fill(folder, display)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.jobs[job.key] = job
        self.worker.submit(self._work, job, folder, display, None if at_once else fill)
        return job

    def _work(self, job: Job, folder: Path, display: Display, fill: Callable[[Path, Display], None] | None) -> None:
        try:
            if fill is not None:
                fill(folder, display)
            self._predict(job, folder, display)
            job.state, job.label = "done", ""
        except FusionNetXError as error:
            job.state, job.error = "failed", printable(str(error))
        except Exception as error:
            job.state, job.error = "failed", f"this should not happen: {type(error).__name__}: {printable(str(error))}"
        if job.state == "failed":
            shutil.rmtree(folder, ignore_errors=True)

    def _predict(self, job: Job, folder: Path, display: Display) -> None:
        runtime, run = self.opened.runtime.shown_on(display), self.opened.run
        if not (folder / "demo").exists():
            plain_table(folder, run.recipe.data.reader, display)
        found = new_population(run, runtime, *files_in(folder))
        population = replace(found, invented=found.invented or (folder / "demo").exists())
        for line in strangers(population.cohort, self.opened.decision.seen):
            display.warn(line)
        columns = population.said(np.arange(len(population.ids), dtype=np.int64))
        if population.scores is not None:
            population.scores.write_parquet(folder / SCORES)
        write_table(folder / COLUMNS, population.ids, None, flat(columns, population.cohort.task.probability_columns))
        view = self._view(folder, job.title, population)
        write_answers([answer_frame(view.said, self.opened.decision)], folder / "answers.csv")
        write_json(folder / ABOUT, {"title": job.title, "mark": self.opened.mark()})
        with self._lock:
            self.opened.views[job.key] = view

    def _population(self, folder: Path, cohort: Cohort, source: ImageSource | None) -> Population:
        opened = self.opened
        invented = is_invented(folder) or (folder / "demo").exists()
        scores = stored_scores(folder / SCORES)
        return Population(opened.plan, opened.runtime, "new", cohort, source, scores, invented)

    def _view(self, folder: Path, title: str, population: Population) -> View:
        plain = read_columns(folder / COLUMNS, population.ids)
        recipe = self.opened.run.recipe
        names = [*(one.name for one in recipe.image_models), *(one.name for one in recipe.tabular.members), SUBJECT]
        return self.opened.view_of(population, {name: stacked(plain, name) for name in names}, folder.name, title)

    def forget(self, key: str) -> None:
        """Remove patients and everything that was made of them; their work list stays."""
        if KEY.fullmatch(key) and self.jobs.get(key, Job("", "")).state != "working":
            self.jobs.pop(key, None)
            with self._lock:
                self.opened.views.pop(key, None)
            shutil.rmtree(self.folder / key, ignore_errors=True)


def suffix(name: str) -> str:
    """Of a name that a browser gave."""
    return PurePosixPath(name.replace("\\", "/")).suffix.lower()


def files_in(folder: Path) -> tuple[Path, Path | None]:
    """The table and the images of an upload."""
    images = next((folder / name for name in ("images.zip", "images.hdf5") if (folder / name).is_file()), None)
    return next(path for path in sorted(folder.glob("table.*"))), images


def keep_images(folder: Path, sent: Sent) -> None:
    """A zip or HDF5 file as it is; single pictures into one zip file, so that no name becomes a path."""
    packed = [one for one in sent if suffix(one[0]) in (".zip", ".hdf5", ".h5")]
    pictures = [one for one in sent if suffix(one[0]) in SUFFIXES]
    strange = [name for name, _ in sent if suffix(name) not in (*SUFFIXES, ".zip", ".hdf5", ".h5")]
    if packed and (len(packed) > 1 or pictures):
        raise DataError("give the images as one zip or HDF5 file, or as single pictures, not both")
    if strange and not packed and not pictures:
        raise DataError(
            f"{PurePosixPath(strange[0]).name}: neither a table nor an image ({', '.join(sorted(SUFFIXES))})"
        )
    if packed:
        kind = "zip" if suffix(packed[0][0]) == ".zip" else "hdf5"
        with (folder / f"images.{kind}").open("wb") as handle:
            shutil.copyfileobj(packed[0][1], handle)
    elif pictures:
        with zipfile.ZipFile(folder / "images.zip", "w", zipfile.ZIP_STORED) as archive:
            for name, content in pictures:
                archive.writestr(PurePosixPath(name.replace("\\", "/")).name, content.read())


def plain_table(folder: Path, reader: str, display: Display) -> None:
    """A published layout in any spelling (semicolons, decimal commas, a workbook) as the CSV file its reader takes."""
    path, _ = files_in(folder)
    if reader == "folder":
        return
    found = read_any(path)
    path.unlink()
    found.text.frame.drop(ROW).write_csv(folder / "table.csv")
    display.say(f"read as {found.understood.kind}")


def write_demo(opened: Opened, folder: Path, display: Display) -> None:
    """The invented patient of most lesions in a small synthetic twin of the run's data, as a table and a zip file."""
    recipe = opened.run.recipe.data
    with scratch_folder() as scratch, display.task("drawing a patient") as progress:
        twin = scratch / "twin"
        twin.mkdir()
        reader_of(recipe).write_twin(twin, TwinRecipe(lesions=DEMO_LESIONS, seed=DEMO_SEED), progress)
        data = read_folder(recipe, twin)
        groups = data.train.groups
        names, counts = np.unique(groups, return_counts=True)
        table = data.train.table.filter(data.train.table[data.train.task.group] == str(names[counts.argmax()]))
        hidden = {*data.train.forbidden, data.train.task.target}
        table.select([name for name in table.columns if name not in hidden]).write_csv(folder / "table.csv")
        if data.train_images is not None:
            with zipfile.ZipFile(folder / "images.zip", "w", zipfile.ZIP_STORED) as archive:
                for lesion in table[data.train.task.lesion].to_list():
                    archive.writestr(f"{lesion}.jpg", data.train_images.read(lesion))
    (folder / "demo").touch()
