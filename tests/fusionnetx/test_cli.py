"""The command line as a whole: its verbs, its help, how each end becomes an exit code, and what help loads."""

import importlib.metadata
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.text import Text

from data.errors import DataError, Interrupted
from fusionnetx.cli import app, guarded
from pipeline.recipe import load_recipe

VERBS = sorted(typer.main.get_command(app).commands)
README = Path(__file__).parents[2] / "README.md"


def examples_in_help(verb: str) -> list[str]:
    epilog = typer.main.get_command(app).commands[verb].epilog or ""
    return re.findall(r"\[bold\]fusionnetx (.*?)\[/bold\]", epilog)


def commands_in_readme() -> list[str]:
    return [
        line.removeprefix("fusionnetx ") for line in README.read_text().splitlines() if line.startswith("fusionnetx ")
    ]


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


def test_the_module_is_the_command(start: Any):
    process = start("submission", "--recipe", "nothing.toml")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert err.startswith("error: recipe file nothing.toml does not exist")


HEAVY = ("torch", "polars", "lightgbm", "pandas", "sklearn", "xgboost", "catboost", "optuna", "matplotlib", "ray")
LOADS = f"""
import sys
from fusionnetx.cli import app
for verb in ([], ["submission"], ["report"], ["recipes"]):
    try:
        app(args=[*verb, "--help"])
    except SystemExit as end:
        assert not end.code, end.code
    print("heavy:", *sorted(set(sys.modules) & {set(HEAVY)}))
"""


def test_help_loads_nothing_heavy():
    answer = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=True)
    assert answer.stdout.count("Usage:") == 4
    assert [line for line in answer.stdout.splitlines() if line.startswith("heavy:")] == ["heavy:"] * 4


@pytest.mark.parametrize("verb", VERBS)
def test_help_loses_no_word_to_markup(verb: str) -> None:
    command = typer.main.get_command(app).commands[verb]
    texts = [parameter.help for parameter in command.params if getattr(parameter, "help", None)]
    for text in [*texts, command.help or ""]:
        assert Text.from_markup(text).plain == text.replace(r"\[", "[")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        app(args=["--version"])
    assert not end.value.code
    assert capsys.readouterr().out == f"fusionnetx {importlib.metadata.version('fusionnetx')}\n"
