"""`make kaggle`: the folders that Kaggle's command line uploads, a data set of models and wheels and a kernel."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from data.errors import DataError
from data.files import write_json
from pipeline.actions.outputs import refuse_folder
from pipeline.actions.predict import finished_plan
from pipeline.card.build import carry_card
from pipeline.kaggle.estimate import estimate
from pipeline.kaggle.notebook import MARKER, dataset_metadata, kernel_metadata, notebook
from pipeline.kaggle.submit import refuse_other_data
from pipeline.kaggle.wheels import build_own_wheel, fetch, refuse_unknown
from pipeline.plan import Plan
from pipeline.provenance import commit, versions
from pipeline.run import FILE, RECIPE_FILE, Run
from pipeline.runtime import Runtime


def run_kaggle(
    run: Run, runtime: Runtime, out: Path, *, user: str, competition: str, lacking: Sequence[str], download: bool
) -> None:
    """Write `out/dataset` and `out/kernel`, and say what they hold and what the hidden test will take."""
    refuse_other_data(run)
    refuse_folder(out)
    if download:
        refuse_unknown(lacking)
    slug = slug_of(f"fusionnetx-{run.name}")
    title = f"FusionNetX {run.name}"
    if out.exists():
        raise DataError(f"{out} is already there; move it away, or name another folder with --out")
    working = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(working, ignore_errors=True)
    try:
        dataset, kernel = working / "dataset", working / "kernel"
        wheels = dataset / "wheels"
        wheels.mkdir(parents=True)
        kernel.mkdir()
        size = copy_run(run, dataset / "run")
        carry_card(run, dataset)
        with runtime.display.task("building the wheel") as progress:
            build_own_wheel(wheels)
            progress(1, 1)
        names = ["fusionnetx"]
        if download and lacking:
            with runtime.display.task("fetching wheels") as progress:
                fetch(lacking, wheels)
                progress(1, 1)
            names += lacking
        write_json(dataset / MARKER, {"run": run.name, "versions": versions(), "commit": commit()})
        write_json(dataset / "dataset-metadata.json", dataset_metadata(user, slug, title))
        write_json(kernel / "kernel-metadata.json", kernel_metadata(user, slug, title, competition))
        write_json(kernel / "submission.ipynb", notebook(title, names))
        working.rename(out)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    wheel_bytes = sum(path.stat().st_size for path in (out / "dataset" / "wheels").iterdir())
    say = runtime.display.say
    say(f"{out}: models and tables {size / 1e6:,.1f} MB, {len(names)} packages in wheels {wheel_bytes / 1e6:,.1f} MB")
    if not download and lacking:
        say(f"note: wheels of {', '.join(lacking)} were not fetched; Kaggle's image must have them")
    for line in estimate(finished_plan(run), runtime).lines():
        say(line)
    say(f"next: kaggle datasets create -p {out}/dataset --dir-mode zip && kaggle kernels push -p {out}/kernel")


def slug_of(name: str) -> str:
    """A name as Kaggle's addresses spell it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50]


def files_for_prediction(finished: Plan) -> list[Path]:
    """What the run is, and the files of the steps that predict."""
    folder = finished.run.folder
    own = [folder / name for name in (RECIPE_FILE, FILE) if (folder / name).is_file()]
    return [*own, *(path for step in finished.for_prediction for path in step.files())]


def copy_run(run: Run, target: Path) -> int:
    """Copy them to `target`, in the same places; the bytes copied. DataError for a run that is not whole."""
    copied = 0
    for path in files_for_prediction(finished_plan(run)):
        there = target / path.relative_to(run.folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
        copied += path.stat().st_size
    return copied
