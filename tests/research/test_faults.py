"""The harness on toy programs, one that is careful and some that are not; and quickly on the pipeline itself."""

import re
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from data.errors import DataError
from pipeline.display import Display
from pipeline.recipe import load_recipe
from research.commands.studies import made_small
from research.kills.faults import Campaign, Harness, ProgramError
from research.kills.kill_points import BY_WORKERS, Event, Moment, choose, in_order, stages_of
from research.kills.mortal import steady_name

CAREFUL = """
import os, sys, time
from pathlib import Path
from data.files import remove_leftovers, write_text
run, cache = Path(sys.argv[-1]), Path(os.environ["FUSIONNETX_CACHE"])
remove_leftovers(run, deep=True), remove_leftovers(cache)
for place, path in enumerate([cache / "synthetic-1", run / "folds.parquet", run / "oof/a/fold_0/report.bin",
                              run / "oof/oof.parquet", run / "tabular/b/fold_0/model.txt", run / "submission.csv"]):
    time.sleep(0.02)
    if not path.exists():
        write_text(path, f"content {place}")
"""
FORGETFUL = CAREFUL.replace('f"content {place}"', 'f"content {place} after {place and time.monotonic()}"')
LITTERING = CAREFUL.replace("remove_leftovers(run, deep=True)", "None")
BROKEN = CAREFUL.replace("for place", "assert not (run / 'folds.parquet').exists(), 'cannot go on'\nfor place")


@pytest.fixture
def harness(tmp_path: Path) -> Callable[[str], Harness]:
    """A harness for a program given as text."""

    def make(text: str) -> Harness:
        (tmp_path / "toy.py").write_text(textwrap.dedent(text))
        return Harness((str(tmp_path / "toy.py"),), tmp_path / "scratch")

    return make


def stage_of(file: str) -> str:
    """Of the toy programs, which have no plan."""
    return "image pack" if file.startswith("cache/") else file.split("/")[1]


def at(when: Any, file: str, seconds: float = 0.0) -> Moment:
    return Moment(when, file, 1, stage_of(file), 0, seconds)


MOMENTS = [
    at("before", "cache/synthetic-1"),
    at("after", "cache/synthetic-1"),
    at("before", "run/oof/oof.parquet"),
    at("after", "run/oof/oof.parquet"),
    at("at", "run/tabular/b/fold_0/model.txt", 0.005),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_a_careful_program_survives(harness: Any, moment: Moment):
    toy = harness(CAREFUL)
    reference = toy.reference()
    outcome = toy.survive("round", [moment], reference)
    assert outcome.moments == (moment,)
    assert outcome.differences == ()


def test_the_kill_falls_exactly_where_it_was_asked_for(harness: Any):
    toy = harness(CAREFUL)
    root, cache = toy.scratch / "round", toy.scratch / "round" / "cache"
    assert toy.kill_at(at("before", "run/oof/oof.parquet"), root, cache, fresh=True)
    assert (root / "run" / "oof" / "a" / "fold_0" / "report.bin").is_file()
    assert not (root / "run" / "oof" / "oof.parquet").exists()
    assert [path.read_text() for path in (root / "run" / "oof").glob(".oof.parquet.*.tmp")] == ["content 3"]
    assert toy.kill_at(at("after", "run/oof/oof.parquet"), root, cache, fresh=True)
    assert (root / "run" / "oof" / "oof.parquet").read_text() == "content 3"
    assert not (root / "run" / "tabular").exists()


@pytest.mark.parametrize(
    ("program", "found"),
    [(FORGETFUL, r"differs$"), (LITTERING, r"\.tmp is left over$")],
    ids=["forgetful", "littering"],
)
def test_a_careless_program_is_found_out(harness: Any, program: str, found: str):
    toy = harness(program)
    outcome = toy.survive("round", [at("before", "run/oof/oof.parquet")], toy.reference())
    assert outcome.differences
    assert any(re.search(found, line) for line in outcome.differences)


def test_a_program_that_cannot_go_on_is_found_out(harness: Any):
    toy = harness(BROKEN)
    reference = toy.reference()
    with pytest.raises(ProgramError, match="cannot go on"):
        toy.survive("round", [at("after", "run/oof/oof.parquet")], reference)


def test_one_run_is_killed_again_and_again(harness: Any):
    toy = harness(CAREFUL)
    row = [moment for moment in MOMENTS if moment.when != "at"]
    outcome = toy.survive("row", row, toy.reference())
    assert outcome.moments == tuple(row)
    assert outcome.differences == ()


@pytest.mark.parametrize(("program", "whole"), [(CAREFUL, True), (FORGETFUL, False)], ids=["careful", "forgetful"])
def test_a_campaign_counts_and_judges(harness: Any, program: str, whole: bool, tmp_path: Path):
    toy = harness(program)
    with (tmp_path / "said.txt").open("w") as page:
        campaign = Campaign(toy.program, toy.scratch, Display(Console(file=page, width=200)), lambda _: stage_of)
        assert campaign.run(kills=5, in_a_row=2, seed=3) is whole
    said = (tmp_path / "said.txt").read_text()
    assert re.search(r"survived (\d+)/7", said)
    assert ("survived 7/7" in said) is whole
    assert ("DIFFERS" in said) is not whole


def test_an_earlier_campaign_is_not_mixed_with_a_new_one(tmp_path: Path):
    (tmp_path / "undisturbed").mkdir()
    with pytest.raises(DataError, match="earlier campaign"):
        Campaign(("pipeline",), tmp_path, Display()).run(1, 0, 0)


EVENTS = [
    Event(file, float(second))
    for second, file in enumerate(
        [
            "run/recipe.toml",
            "cache/~synthetic-1/manifest.json",
            "cache/synthetic-1",
            "run/folds.parquet",
            "run/folds.json",
        ]
        + [f"cache/~{'ab' * 32}/report.json", f"cache/{'ab' * 32}"]
        + [f"run/oof/narrow/fold_{k}/{name}" for k in range(5) for name in ("model.safetensors", "report.json")]
        + [f"run/oof/narrow/fold_{k}/test/report.json" for k in range(5)]
        + [
            "run/oof/oof.parquet",
            "run/oof/test.parquet",
            "run/oof/report.json",
            "run/tabular/lightgbm/tuning/report.json",
        ]
        + [
            "run/features/fold_0/report.json",
            "run/tabular/lightgbm/fold_0/seed_1/report.json",
            "run/tabular/blend.json",
        ]
        + ["run/tabular/oof.parquet", "run/tabular/report.json", "run/tabular/test.parquet", "run/submission.csv"]
    )
]


def test_the_moments_are_spread_over_all_stages_and_kinds(finished_run: Path):
    stage_of = stages_of(finished_run)
    chosen = choose(EVENTS, stage_of, 25, seed=0)
    assert len(set(chosen)) == 25
    assert {moment.stage for moment in chosen} == {stage_of(event.file) for event in EVENTS[1:]}
    assert {moment.when for moment in chosen} == {"before", "after", "at"}
    assert chosen == choose(EVENTS, stage_of, 25, seed=0)
    assert chosen != choose(EVENTS, stage_of, 25, seed=1)
    for moment in chosen:
        assert 0 <= moment.seconds < 1
        assert EVENTS[moment.place - (moment.when == "at")].file == moment.file
    assert [moment.place for moment in in_order(chosen)] == sorted(moment.place for moment in chosen)


def test_workers_die_alone_and_with_their_program_where_there_are_any():
    """Training and prediction have processes of their own; a search is struck as everything else is."""

    def stage_of_demo(file: str) -> str:
        place, _, name = file.partition("/")
        if name.startswith("oof/narrow"):
            return BY_WORKERS["/test/" in name]
        return "search" if "/tuning/" in name else f"{place} {name.partition('/')[0]}"

    chosen = choose(EVENTS, stage_of_demo, 60, seed=0)
    fates = {(moment.stage, moment.alone) for moment in chosen if moment.when != "at"}
    assert {(stage, alone) for stage in BY_WORKERS for alone in (True, False)} | {("search", False)} <= fates
    assert not any(moment.alone for moment in chosen if moment.stage not in BY_WORKERS)


def test_a_program_with_few_moments_gives_what_it_has():
    assert 0 < len(choose(EVENTS[:2], stage_of, 50, seed=0)) <= 50
    assert choose(EVENTS[:1], stage_of, 0, seed=0) == []


def test_the_stage_of_a_file_follows_from_the_plan(finished_run: Path):
    stage_of = stages_of(finished_run)
    for file, stage in {
        "cache/~synthetic-1/manifest.json": "synthetic cohort", "cache/synthetic-1": "synthetic cohort",
        f"cache/{'ab' * 32}": "image pack", "run/recipe.toml": "between steps", "run/folds.json": "folds",
        "run/oof/narrow/fold_1/last.safetensors": "image models", "run/oof/narrow/fold_1/report.json": "image models",
        "run/oof/narrow/fold_1/test/predictions.parquet": "image models on test lesions",
        "run/oof/test.parquet": "joining stage one", "run/features/fold_0/encoder.json": "encoders",
        "run/tabular/lightgbm/fold_0/seed_42/predictions.parquet": "boosters", "run/tabular/oof.parquet": "blend",
        "run/tabular/test.parquet": "submission", "run/submission.csv": "submission",
    }.items():  # fmt: skip
        assert stage_of(file) == stage, file


def test_a_working_folder_has_one_name_in_every_process(tmp_path: Path):
    hidden = tmp_path / "cache" / ".synthetic-12.0a1b-3.some.host.4567.tmp" / "manifest.json"
    assert steady_name(tmp_path, hidden) == "cache/~synthetic-12/manifest.json"
    assert steady_name(tmp_path, str(tmp_path / "run" / "a.json")) == "run/a.json"
    assert steady_name(tmp_path, bytes(tmp_path / "run" / "a.json")) == "run/a.json"
    assert steady_name(tmp_path, "/elsewhere/a.json") is None
    assert steady_name(tmp_path, 7) is None


def small(raw: dict[str, Any]) -> None:
    """One network in two processes, two boosters, two folds."""
    raw["data"]["synthetic"] |= {"lesions": 300, "malignant": 40}
    raw["folds"]["count"] = 2
    raw["resources"]["image_models_at_once"] = 2
    raw["image_models"] = raw["image_models"][:1]
    raw["tabular"]["members"] = raw["tabular"]["members"][:2]


@pytest.mark.slow
def test_the_pipeline_survives(variant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Killed in the cohort, with a worker, and in a booster, every time going on; then a worker dies alone."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    harness = Harness(("fusionnetx", "submission", "--recipe", str(variant(small))), tmp_path / "scratch")
    reference = harness.reference()
    stage_of = stages_of(tmp_path / "scratch" / "undisturbed" / "run")
    wanted = {"synthetic cohort": "before", "image models": "after", "boosters": "before"}
    moments = [
        next(
            Moment(when, event.file, 1, stage, place)
            for place, event in enumerate(reference.events)
            if stage_of(event.file) == stage and event.file.endswith(("report.json", "manifest.json"))
        )
        for stage, when in wanted.items()
    ]
    outcome = harness.survive("row", moments, reference)
    assert outcome.moments == tuple(moments)
    assert outcome.differences == ()
    alone = replace(moments[1], alone=True)
    outcome = harness.survive("alone", [alone], reference)
    assert outcome.moments == (alone,)
    assert outcome.differences == ()


def test_the_shipped_demo_can_be_made_small():
    """Whatever it has: a change that names a member that is gone would end the campaign before its first kill."""
    recipe = load_recipe("demo", made_small())
    assert {model.epochs for model in recipe.image_models} == {2}
    assert {member.iterations for member in recipe.tabular.members} == {20}
    assert recipe.data.synthetic.lesions == 600


def test_workers_die_alone_at_half_of_their_moments(finished_run: Path):
    by_workers = [one for one in choose(EVENTS, stages_of(finished_run), 60, seed=0) if "image models" in one.stage]
    beside_a_name = [one for one in by_workers if one.when != "at"]
    assert 0 < sum(one.alone for one in beside_a_name) < len(beside_a_name)
    assert all(str(one).endswith(", the worker alone") is one.alone for one in by_workers)
