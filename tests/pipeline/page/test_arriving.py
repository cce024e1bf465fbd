"""New patients: answered as `predict` answers them, however they were spelled, found again after a restart, removed."""

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from data.scores.conformal import SetRule
from pipeline.answers import Said
from pipeline.page.arriving import Arrivals, Job
from pipeline.page.opened import suspicious
from tests.pipeline.page.conftest import Served


def done(job: Job) -> Job:
    end = time.monotonic() + 120
    while job.state == "working" and time.monotonic() < end:
        time.sleep(0.05)
    return job


def test_a_german_table_and_loose_pictures_are_answered_as_predict_answers(
    served: Served, cohort_dir: Path, cli: Any, tmp_path: Path
):
    table = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)
    patient = table["patient_id"].mode()[0]
    own = table.filter(pl.col("patient_id") == patient)
    own.write_csv(tmp_path / "own.csv")
    images = cohort_dir / "test-image.hdf5"
    arguments = ("--metadata", tmp_path / "own.csv", "--images", images, "--out", tmp_path / "answers.csv")
    answer = cli("predict", "--run", served.page.opened.run.folder, *arguments)
    assert answer.code == 0, answer
    commas = own.with_columns(
        pl.when(pl.col(name).str.contains(r"^-?[\d.]+$")).then(pl.col(name).str.replace(".", ",", literal=True))
        .otherwise(pl.col(name)).alias(name)
        for name in own.columns
    )  # fmt: skip
    spelled = commas.write_csv(separator=";").encode("cp1252")
    with h5py.File(images) as source:
        pictures = [(f"C:\\photos\\{name}.jpg", io.BytesIO(bytes(source[name][()]))) for name in own["isic_id"]]
    arrivals = served.page.arrivals
    job = done(arrivals.receive([("Meine Patienten.csv", io.BytesIO(spelled)), *pictures]))
    assert job.state == "done", job
    said = pl.read_csv(tmp_path / "answers.csv")
    view = served.page.opened.views[job.key]
    assert view.cohort.ids.tolist() == said["isic_id"].to_list()
    assert view.score.tolist() == pytest.approx(said["score"].to_list(), abs=1e-6)
    interrupted = arrivals.folder / "new-0123456789ab"
    interrupted.mkdir()
    again = Arrivals(served.page.opened)
    assert "ended before" in again.jobs[interrupted.name].error
    again.forget(interrupted.name)
    assert not interrupted.exists()
    assert again.jobs[job.key].state == "done"
    assert served.page.opened.views[job.key].score.tolist() == view.score.tolist()
    assert served.page.explainer.ask(served.page.opened.views[job.key], 0).result(120)["said"][
        "blend"
    ] == pytest.approx(view.score[0], abs=1e-6)
    arrivals.forget(job.key)
    assert job.key not in served.page.opened.views
    assert not (arrivals.folder / job.key).exists()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "no table"),
        (("a.jpg",), "no table"),
        (("a.csv", "b.csv"), "one table"),
        (("a.csv", "b.exe"), "neither a table nor an image"),
        (("a.csv", "b.zip", "c.zip"), "one zip"),
        (("a.csv", "b.zip", "c.jpg"), "not both"),
    ],
)
def test_what_cannot_be_taken_is_refused_and_leaves_nothing(served: Served, names: tuple[str, ...], said: str):
    before = sorted(served.page.arrivals.folder.glob("*"))
    with pytest.raises(DataError, match=said):
        served.page.arrivals.receive([(name, io.BytesIO(b"x")) for name in names])
    assert sorted(served.page.arrivals.folder.glob("*")) == before


def test_several_classes_are_shown_by_the_malignant_one(served: Served):
    view = served.page.opened.views["test"]
    task = replace(view.cohort.task, classes=("nv", "mel", "bcc"))
    scores = np.random.default_rng(0).dirichlet((5, 1, 1), len(view.score))
    assert suspicious(task) == 1
    decision = replace(view.decision, thresholds=(), sets=SetRule(0.9, (None, 0.1, None)))
    said = Said(replace(view.cohort, task=task), scores, view.said.without_image)
    columns = {"blend": scores}
    several = replace(
        view,
        key="classes",
        said=said,
        columns=columns,
        calibrated=scores,
        decision=decision,
        towards=1,
        population=None,
    )
    assert several.score.tolist() == scores[:, 1].tolist()
    served.page.opened.views["classes"] = several
    try:
        for path in (
            "/v/classes/",
            "/v/classes/p/0",
            "/v/classes/l/0",
            "/v/classes/levels.json",
            "/v/classes/p/0/sheet",
        ):
            status, _, text = served.ask(served.base + path)
            assert status == 200, text[:500]
    finally:
        del served.page.opened.views["classes"]
