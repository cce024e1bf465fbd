import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
import typer

from data.errors import DataError, Interrupted
from fusionnetx.cli import app, guarded
from pipeline.recipe import load_recipe, shipped_recipes

VERBS = sorted(typer.main.get_command(app).commands)
README = Path(__file__).parents[2] / "README.md"


def examples_in_help(verb: str) -> list[str]:
    epilog = typer.main.get_command(app).commands[verb].epilog or ""
    return re.findall(r"\[bold\]fusionnetx (.*?)\[/bold\]", epilog)


def commands_in_readme() -> list[str]:
    return [
        line.removeprefix("fusionnetx ") for line in README.read_text().splitlines() if line.startswith("fusionnetx ")
    ]


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def test_the_verbs_are_those_of_the_project():
    assert {"recipes", "check", "demo-data", "oof", "tabular", "submission", "report", "weights", "features",
            "show-augmentations", "predict"} <= set(VERBS)  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_shows_examples(cli: Any, verb: str):
    answer = cli(verb, "--help")
    assert answer.code == 0
    assert "Usage:" in answer.out
    assert examples_in_help(verb)
    for line in examples_in_help(verb):
        assert f"fusionnetx {line}" in answer.out
        assert line.split()[0] == verb


@pytest.mark.parametrize("line", [*(line for verb in VERBS for line in examples_in_help(verb)), *commands_in_readme()])
def test_every_documented_command_is_understood(line: str):
    verb, *arguments = shlex.split(line, comments=True)
    command = typer.main.get_command(app).commands[verb]
    options = command.make_context(verb, arguments).params
    if options.get("recipe"):
        load_recipe(options["recipe"], options.get("set_") or ())


def test_without_arguments_the_verbs_are_listed(cli: Any):
    answer = cli()
    assert all(verb in answer.out + answer.err for verb in VERBS)


def test_recipes_lists_what_is_shipped(cli: Any):
    answer = cli("recipes")
    assert answer.code == 0
    for name in shipped_recipes():
        assert name in answer.out
    assert "convnextv2_nano" in answer.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["submission", "--recipe", "fusionet"], ["'fusionet'", "did you mean 'fusionnetx'?"]),
        (["submission", "--set", "sead=1"], ["sead", "did you mean 'seed'?"]),
        (["check", "--data", "nowhere"], ["nowhere", "does not exist"]),
        (["submission", "--recipe", "fusionnetx"], ["no data folder was given", "--data"]),
        (["show-augmentations", "--model", "lesion_nets"], ["'lesion_nets'", "did you mean 'lesion_net'?"]),
        (["predict", "--run", "never", "--metadata", "a", "--images", "b", "--out", "c"], ["runs/never", "--run"]),
    ],
)
def test_a_mistake_gets_one_message_and_code_2(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
):
    monkeypatch.chdir(tmp_path)
    answer = cli(*arguments)
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("error:") == 1
    assert "Traceback" not in answer.err
    assert all(word in answer.err for word in words), answer.err


@pytest.mark.parametrize("arguments", [["submision"], ["submission", "--recipee", "demo"], ["predict"]])
def test_a_misspelt_command_gets_code_2(cli: Any, arguments: list[str]):
    answer = cli(*arguments)
    assert answer.code == 2
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("the [red] file: mend it"), 2, "error: the [red] file: mend it\n"),
        (
            OSError(28, "No space left on device", "runs/a/x"),
            2,
            "error: runs/a/x: No space left on device; free some space, and the same command goes on from here\n",
        ),
        (OSError(30, "Read-only file system", "runs/a/x"), 2, "error: runs/a/x: Read-only file system\n"),
        (Interrupted(143), 143, "stopped; the same command goes on from here\n"),
        (Interrupted(130), 130, "stopped; the same command goes on from here\n"),
        (KeyboardInterrupt(), 130, "stopped; the same command goes on from here\n"),
        (SystemExit(3), 3, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_every_end_has_its_exit_code(error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]):
    def command() -> None:
        raise error

    assert guarded(command) == code
    assert capsys.readouterr().err == said


def test_a_bug_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 / 0)


def test_the_module_is_the_command(start: Any):
    process = start("submission", "--recipe", "nothing.toml")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert err.startswith("error: recipe file nothing.toml does not exist")


# What `check` says of a damaged folder


@pytest.fixture
def folder(cohort_dir: Path, tmp_path: Path) -> Path:
    """Forty lesions of the tiny cohort in a folder that a test may damage."""
    folder = tmp_path / "data"
    folder.mkdir()
    train = pl.read_csv(cohort_dir / "train-metadata.csv", infer_schema=False)
    positive = pl.col("target") == "1"
    chosen = {
        "train": pl.concat([train.filter(positive)[:10], train.filter(~positive)[:30]]),
        "test": pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)[:10],
    }
    for part, table in chosen.items():
        # Of one institution and place, so that the small table holds every category of the other.
        table = table.with_columns(
            pl.lit("FNQH Cairns").alias("attribution"),
            pl.lit("Left Leg").alias("tbp_lv_location"),
            pl.lit("Left Leg").alias("tbp_lv_location_simple"),
            pl.lit("lower extremity").alias("anatom_site_general"),
            pl.lit("male").alias("sex"),
            pl.lit("3D: XP").alias("tbp_tile_type"),
            pl.lit("CC-BY").alias("copyright_license"),
        )
        table.write_csv(folder / f"{part}-metadata.csv")
        with (
            h5py.File(cohort_dir / f"{part}-image.hdf5") as source,
            h5py.File(folder / f"{part}-image.hdf5", "w") as few,
        ):
            for name in table["isic_id"]:
                source.copy(name, few)
    chosen["test"].select("isic_id", target=pl.lit(0.3)).write_csv(folder / "sample_submission.csv")
    return folder


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    change(pl.read_csv(path, infer_schema=False)).write_csv(path)


def first_row(column: str, value: str | None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Give the first row another value."""
    return lambda table: table.with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(value)).otherwise(column).alias(column)
    )


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_an_image(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file[sorted(file)[0]]


def with_half_a_jpeg(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        name = sorted(file)[0]
        whole = bytes(np.asarray(file[name][()]).tobytes())
        del file[name]
        file.create_dataset(name, data=np.bytes_(whole[: len(whole) // 2]))


STOPS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a missing column": (
        lambda f: rewrite(f / "train-metadata.csv", lambda t: t.drop("tbp_lv_areaMM2")),
        ["train-metadata.csv: column tbp_lv_areaMM2 is missing"],
    ),
    "a text in a number column": (
        lambda f: rewrite(f / "train-metadata.csv", first_row("age_approx", "forty")),
        ["train-metadata.csv: column age_approx: 1 value is not a number (line 2: 'forty')"],
    ),
    "duplicate ids": (
        lambda f: rewrite(f / "train-metadata.csv", lambda t: pl.concat([t, t[:1]])),
        ["train-metadata.csv: column isic_id: 2 values are not unique (line 2: "],
    ),
    "a patient id missing": (
        lambda f: rewrite(f / "train-metadata.csv", first_row("patient_id", None)),
        ["train-metadata.csv: column patient_id: 1 value is missing, which this column must not be (line 2: empty)"],
    ),
    "an HDF5 cut in half": (
        lambda f: cut(f / "train-image.hdf5"),
        ["train-image.hdf5 ends too early: the copy is incomplete"],
    ),
    "an empty CSV": (lambda f: (f / "train-metadata.csv").write_text(""), ["train-metadata.csv is empty"]),
    "a CSV without rows": (
        lambda f: rewrite(f / "test-metadata.csv", lambda t: t[:0]),
        ["test-metadata.csv: it has a header but no rows"],
    ),
    "several at once": (
        lambda f: (
            rewrite(f / "train-metadata.csv", first_row("tbp_lv_H", "blue")),
            rewrite(f / "test-metadata.csv", lambda t: t.drop("sex")),
            cut(f / "test-image.hdf5"),
        ),
        ["column tbp_lv_H", "test-metadata.csv: column sex is missing", "test-image.hdf5 ends too early"],
    ),
}
WARNS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "an id without an image": (
        lambda f: without_an_image(f / "train-image.hdf5"), ["train images: 1 of 40 lesions have none (ISIC_"]
    ),
    "a JPEG cut in half": (
        lambda f: with_half_a_jpeg(f / "train-image.hdf5"), ["train images: 1 of 40 do not decode (ISIC_"]
    ),
    "a test file with an unknown category": (
        lambda f: rewrite(f / "test-metadata.csv", first_row("tbp_lv_location", "Third Arm")),
        ["column tbp_lv_location: 1 row holds a value that the training table does not have: 'Third Arm'"],
    ),
    "a published category that nobody knows": (
        lambda f: rewrite(f / "train-metadata.csv", first_row("sex", "robot")),
        ["train-metadata.csv: column sex: 1 row holds a value not among the published values: 'robot'"],
    ),
}  # fmt: skip


@pytest.fixture
def check(cli: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Damage the folder, then check it; whatever is wrong, nothing may be written anywhere."""

    def run(damage: Callable[[Path], object], *options: str) -> Any:
        damage(folder)
        monkeypatch.chdir(tmp_path)
        before = tree(tmp_path)
        allowed = ("--set", "data.max_missing_images=0.05", "--set", "folds.count=3")
        answer = cli("check", "--data", folder, *allowed, *options, cache=tmp_path / "c")
        assert tree(tmp_path) == before
        assert "Traceback" not in answer.out + answer.err
        return answer

    return run


def test_a_sound_folder_is_described(check: Any):
    answer = check(lambda _: None)
    assert answer.code == 0, answer
    assert "a run can start (0 warnings)" in answer.out
    for words in (r"lesions\W+40 ", r"malignant\W+10 \(25.000%\)", r"images\W+10 found, 0 missing, 0 extra"):
        assert re.search(words, answer.out), words


@pytest.mark.parametrize("case", STOPS)
def test_what_stops_a_run_is_named_before_it_starts(check: Any, case: str):
    damage, words = STOPS[case]
    answer = check(damage)
    assert answer.code == 2
    assert "a run cannot start" in answer.out
    assert all(word in answer.out for word in words), answer.out


@pytest.mark.parametrize("case", WARNS)
def test_what_a_run_goes_on_with_is_a_warning(check: Any, case: str):
    damage, words = WARNS[case]
    answer = check(damage)
    assert answer.code == 0
    assert "a run can start (1 warning)" in answer.out
    assert "warning:" in answer.out
    assert all(word in answer.out for word in words), answer.out


def test_more_missing_images_than_the_recipe_allows_stop_a_run(check: Any):
    answer = check(WARNS["an id without an image"][0], "--set", "data.max_missing_images=0.0")
    assert answer.code == 2
    assert "train images: 1 of 40 lesions have none" in answer.out


@pytest.mark.parametrize("case", ["a missing column", "an HDF5 cut in half"])
def test_a_run_on_a_bad_folder_says_the_same_and_trains_nothing(
    cli: Any, folder: Path, tmp_path: Path, tiny_recipe: Path, case: str
):
    damage, words = STOPS[case]
    damage(folder)
    answer = cli("submission", "--recipe", tiny_recipe, "--data", folder, "--run", tmp_path / "runs" / "bad")
    assert answer.code == 2
    assert all(word in answer.err for word in words), answer.err
    assert not (tmp_path / "runs" / "bad" / "oof").exists()


# Verbs that look, and leave a run as it was


def test_a_dry_run_prints_every_job_and_leaves_a_run_as_it_was(cli: Any, tiny_recipe: Path, run_copy: Path):
    before = tree(run_copy)
    answer = cli("oof", "--dry-run", "--recipe", tiny_recipe, "--run", run_copy, "--set", "image_models[wide].epochs=2")
    assert answer.code == 0, answer
    assert answer.out.count("(done)") == 3
    assert answer.out.count("epochs 1 -> 2") == 3
    after = tree(run_copy)
    before.pop(str(run_copy / ".lock")), after.pop(str(run_copy / ".lock"))
    assert after == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("image_models[wide].backbone=resnet19", "did you mean"),
        ("image_models[wide].backbone=vit_tiny_patch16_224", "take 32 or 48"),
    ],
)
def test_a_dry_run_refuses_what_training_would_refuse(cli: Any, tiny_recipe: Path, tmp_path: Path, change, reason):
    answer = cli("oof", "--dry-run", "--recipe", tiny_recipe, "--run", tmp_path / "run", "--set", change,
                 "--set", "image_models[wide].image_size=33")  # fmt: skip
    assert answer.code == 2, answer
    assert reason in answer.err


def test_features_are_described(cli: Any, tiny_recipe: Path, run_copy: Path):
    answer = cli("features", "--describe", "--recipe", tiny_recipe, "--run", run_copy)
    assert answer.code == 0, answer
    for words in ("tbp_lv_areaMM2", "patient_z", "mm2", "narrow"):
        assert words in answer.out


@pytest.mark.parametrize("verb", ["check", "demo-data", "weights"])
def test_a_verb_that_keeps_no_run_takes_none(cli: Any, tiny_recipe: Path, verb: str):
    assert cli(verb, "--recipe", tiny_recipe, "--run", "mine").code == 2


def test_families_are_listed_without_data(cli: Any, tiny_recipe: Path, tmp_path: Path):
    answer = cli("features", "--recipe", tiny_recipe, "--run", tmp_path / "none")
    assert answer.code == 0, answer
    assert "local_outlier_factor" in answer.out
    assert "tbp_lv_areaMM2_patient_z" not in answer.out


def test_a_contact_sheet_is_written(cli: Any, tiny_recipe: Path, run_copy: Path, tmp_path: Path):
    from PIL import Image

    out = tmp_path / "sheet.png"
    answer = cli("show-augmentations", "--recipe", tiny_recipe, "--run", run_copy, "--out", out, "--model", "wide")
    assert answer.code == 0, answer
    with Image.open(out) as sheet:
        assert np.asarray(sheet).std() > 0


def test_weights_that_nobody_needs_are_not_fetched(cli: Any, tiny_recipe: Path, tmp_path: Path):
    answer = cli("weights", "--recipe", tiny_recipe)
    assert answer.code == 0, answer
    assert answer.out.count("needs no pretrained weights") == 2


def test_the_demo_cohort_is_written_once(cli: Any, tiny_recipe: Path, cohort_dir: Path):
    before = tree(cohort_dir)
    answer = cli("demo-data", "--recipe", tiny_recipe)
    assert answer.code == 0
    assert str(cohort_dir) in answer.out
    assert tree(cohort_dir) == before


def test_a_run_in_use_is_refused(cli: Any, tiny_recipe: Path, run_copy: Path):
    from pipeline.run import hold

    with hold(run_copy):
        answer = cli("submission", "--recipe", tiny_recipe, "--run", run_copy)
    assert answer.code == 2
    assert "in use by process" in answer.err


def test_a_run_without_a_slash_lives_under_runs(cli: Any, tiny_recipe: Path, finished_run: Path, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    shutil.copytree(finished_run, tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    answer = cli("submission", "--recipe", tiny_recipe, "--run", "mine")
    assert answer.code == 0
    assert "runs/mine/submission.csv is up to date" in answer.out
