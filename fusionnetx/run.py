"""`fit` and `open_run`, and what can be asked of a finished run. Thin: the work is that of the verbs."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from data.errors import DataError
from data.files import read_json
from data.new_lesions import at_hand
from data.own.proposal import Said
from data.recipe import read_test
from data.tables.parquet import read_parquet
from fusionnetx.table import Frame, Kind, as_file, as_kind, kind_of, recipe_for, write_frame
from pipeline.actions.ask_network import network_frames, network_steps
from pipeline.actions.opening import executor_named, existing_run, refuse_export, refuse_losses, run_path, surroundings
from pipeline.actions.predict import finished_plan, probability_frame, said_of, warn_of_invented
from pipeline.actions.train import train
from pipeline.answers import answer_frame
from pipeline.decision import decision_for
from pipeline.display import Display
from pipeline.inputs import Inputs
from pipeline.lock import hold
from pipeline.recipe import Recipe, load_recipe
from pipeline.run import Run
from pipeline.runtime import Runtime

DATA = "data"
"""Folder of the run folder that keeps the table which `fit` was given."""
ROW = "row"
"""Names the rows of a table that has no column for it."""
DEFAULT_KIND: Kind = "pandas"
"""Of frames about a run whose table nobody gave as one."""


def fit(
    table: Frame | str | Path,
    *,
    target: str | None = None,
    group: str | None = None,
    lesion: str | None = None,
    images: str | Path | None = None,
    positive: Sequence[str] = (),
    forbidden: Sequence[str] = (),
    keep: Sequence[str] = (),
    recipe: str | None = None,
    run: str = "fit",
    changes: Sequence[str] = (),
    replace: bool = False,
    quiet: bool = False,
) -> "FittedRun":
    """Train both stages and return the finished run; what is done already is not done again.

    `table`: a pandas or polars frame with a row per lesion, or a folder of published files (then the recipe says what
    the columns mean). `target`: the column with the answer. `group`: the column whose values stay in one fold, the
    patient; without it every row counts as another person. `lesion`: the column that names a row and its image;
    without it rows are numbered, which is for tables without images. `images`: a folder, a .zip or an HDF5 file.
    `positive`: which values of a target of two classes are the positive ones, where that is not obvious.
    `forbidden`: columns that are known only with the answer. `keep`: columns to use although they nearly give the
    answer away; others of that kind are left out, and a warning says so. `recipe`: a shipped recipe or a .toml file.
    `run`: name of the run folder under runs/, or a path. `changes`: recipe keys, such as "seed=7".

    >>> import fusionnetx as fnx
    >>> import polars as pl
    >>> table = pl.DataFrame({
    ...     "patient": [f"p{i // 4}" for i in range(160)],
    ...     "width_mm": [2.0 + i % 7 + 4.0 * (i % 4 == 0) for i in range(160)],
    ...     "malignant": [int(i % 4 == 0) for i in range(160)],
    ... })
    >>> run = fnx.fit(table, target="malignant", group="patient", run=folder / "first", quiet=True)
    >>> run.score > 0.7
    True
    >>> answers = run.predict(table.drop("malignant"))
    >>> answers.select("patient", "row", "rank", "lesions").row(0)
    ('p0', 'row_0', 1, 4)
    >>> abs(answers["probability"].mean() - table["malignant"].mean()) < 0.1
    True
    >>> run.predict(table.drop("malignant").head(2), plain=True).columns
    ['row', 'positive']
    """
    display, folder = Display(Console(quiet=True)) if quiet else Display(), run_path(str(run))
    with ExitStack() as stack:
        runtime = surroundings(display, stack.enter_context(closing(executor_named("local"))))
        if isinstance(table, str | Path):
            made, kind = Run.of(load_recipe(recipe or "demo", changes), folder, Path(table)), DEFAULT_KIND
        else:
            if target is None:
                raise DataError("fit needs target=, the name of the column with the answer")
            if images is not None and lesion is None:
                raise DataError("fit needs lesion=, the name of the column by whose values the images are called")
            kind = kind_of(table)
            row = lesion or ROW
            said = Said(target, group or "", row, tuple(map(str, positive)), tuple(forbidden), tuple(keep))
            path = stack.enter_context(as_file(_numbered(table, row)))
            found = recipe_for(path, said, None if images is None else Path(images), recipe, changes)
            for note in found.notes:
                runtime.display.warn(note)
            made = Run.of(found.recipe, folder, path.parent)
        stack.enter_context(_listening(runtime.display))
        refuse_export(folder)
        inputs = Inputs(made, runtime)
        # Before the folder is made or changed: a table that cannot be used leaves nothing behind.
        _ = inputs.data
        stack.enter_context(hold(folder))
        if not replace:
            refuse_losses(made, inputs)
        if not isinstance(table, str | Path):
            # The run keeps its table, so that it can be opened without it.
            write_frame(_numbered(table, row), folder / DATA / path.name)
            made = made.derive(data_dir=folder / DATA)
            inputs = Inputs(made, runtime)
        train(inputs, runtime, "submission")
    return FittedRun(made, kind, surroundings(display))


def open_run(run: str | Path, *, data: str | Path | None = None, quiet: bool = False) -> "FittedRun":
    """A run that was made by `fit` or by the command line; `data` says where its data are now, if they have moved."""
    found = existing_run(str(run), None if data is None else Path(data))
    return FittedRun(found, DEFAULT_KIND, surroundings(Display(Console(quiet=True)) if quiet else Display()))


@dataclass(frozen=True)
class FittedRun:
    """A finished run."""

    _run: Run
    _kind: Kind = "pandas"
    _runtime: Runtime = field(default_factory=surroundings, repr=False)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._run.folder

    @property
    def recipe(self) -> Recipe:
        """What was run."""
        return self._run.recipe

    @property
    def invented(self) -> bool:
        """Whether its lesions are: then its figures say nothing of patients."""
        return self._run.invented

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json."""
        path = self.folder / "metrics.json"
        if not path.is_file():
            raise DataError(f"{self.folder} has no metrics.json: it is not finished; fit it again to go on")
        loaded: dict[str, Any] = read_json(path)
        return loaded

    @property
    def score(self) -> float:
        """The blend's cross-validated score, by the score of its task."""
        metrics = self.metrics
        return float(metrics["cross_validated"]["members"]["blend"][metrics["score"]]["estimate"])

    @property
    def scores(self) -> Frame:
        """Every cross-validated score: column, score, estimate, and its interval over patients where there is one."""
        found = self.metrics["cross_validated"]
        rows = [
            {"column": column, "score": score, **{part: value.get(part) for part in ("estimate", "low", "high")}}
            for column, figures in {**found["image_models"], **found["members"]}.items()
            for score, value in figures.items()
        ]
        return as_kind(pl.DataFrame(rows, infer_schema_length=None), self._kind)

    @property
    def oof(self) -> Frame:
        """What every image model, member and the blend said of the training lesions without having seen them."""
        frame, _ = read_parquet(self.folder / "tabular" / "oof.parquet", "Fit the run again.")
        path = self.folder / "oof" / "oof.parquet"
        if path.is_file():
            images, _ = read_parquet(path, "Fit the run again.")
            frame = images.join(frame.drop("fold"), on="lesion_id", how="left", maintain_order="left")
        return as_kind(frame, self._kind)

    def predict(
        self,
        table: Frame,
        images: str | Path | None = None,
        *,
        plain: bool = False,
        calibration: str | None = None,
        model: str | None = None,
    ) -> Frame:
        """What the run says of new lesions: a frame of the kind that was given, a row per lesion in its order.

        The columns are those of `fusionnetx predict`: calibrated probability, score, rank, thresholds, doubts. `plain`:
        the lesion and its uncalibrated score alone. `calibration`: the name of another site's. `model`: one image
        model, asked alone: the mean of its fold models, uncalibrated, without stage two.
        """
        kind = kind_of(table)
        if model is not None and (plain or calibration is not None):
            raise DataError("model= gives a network's own probability: leave out plain= and calibration=")
        described = self._run.recipe.data.folder
        finished = finished_plan(self._run)
        decision = None if plain or model else decision_for(self._run, calibration)
        with (
            as_file(_numbered(table, described.lesion if described else None)) as path,
            _listening(self._runtime.display),
        ):
            source = None if images is None else Path(images)
            cohort, found, notes = read_test(self._run.recipe.data, path, source)
            for note in notes:
                self._runtime.display.warn(note)
            warn_of_invented(self._run, self._runtime, path)
            if model is not None:
                steps = network_steps(self._run, model)
                asked = network_frames(self._run, self._runtime, steps, at_hand(cohort, found))
                return as_kind(pl.concat(asked), kind)
            said = said_of(finished, self._runtime, cohort, found)
        return as_kind(
            probability_frame(cohort, said.score) if decision is None else answer_frame(said, decision), kind
        )

    def report(self) -> Path:
        """Write report.html and say where it is."""
        from pipeline.report.build import run_report

        with _listening(self._runtime.display), hold(self.folder):
            run_report(Inputs(self._run, self._runtime), self._runtime)
        return self.folder / "report.html"

    def explain(self, lesions: str | Sequence[str]) -> list[Path]:
        """Write a sheet per lesion that says what the answer rests on."""
        from pipeline.explain.build import run_explain

        wanted = [lesions] if isinstance(lesions, str) else list(lesions)
        with _listening(self._runtime.display), hold(self.folder):
            return run_explain(Inputs(self._run, self._runtime), self._runtime, wanted)


def _numbered(table: Frame, lesion: str | None) -> Frame:
    """The table with a column that names its rows, where it is to be made and is not there."""
    if lesion != ROW or ROW in table.columns:
        return table
    numbers = [f"row_{i}" for i in range(len(table))]
    return table.with_columns(pl.Series(ROW, numbers)) if kind_of(table) == "polars" else table.assign(**{ROW: numbers})


@contextmanager
def _listening(display: Display) -> Iterator[None]:
    """Let Ctrl-C stop between steps; only the main thread can."""
    if threading.current_thread() is threading.main_thread():
        with display.listening():
            yield
    else:
        yield
