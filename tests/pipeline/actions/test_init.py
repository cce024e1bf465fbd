"""`init` asks where it is unsure, and says what a table lacks."""

import io
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pytest
from rich.console import Console

from data.errors import Interrupted
from data.own.roles import Guess, Question
from pipeline.actions.init import asker
from pipeline.display import Display
from pipeline.recipe import load_recipe


def test_where_it_is_unsure_it_asks_or_takes_its_guess(cli: Callable[..., Any], tmp_path: Path) -> None:
    rows = [f"r{i};{'AB'[i % 2]};{i % 7},5" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["id;class;size", *rows]))
    command = ("init", tmp_path / "t.csv", "--target", "class", "--out", tmp_path / "t.toml")
    answer = cli(*command)
    assert answer.code == 2
    assert "which column names the patient" in answer.err
    assert "--yes takes the guess" in answer.err
    answer = cli(*command, "--yes")
    assert answer.code == 0, answer
    assert "every row counts as another person" in answer.out
    assert load_recipe(str(tmp_path / "t.toml")).data.folder is not None


def test_a_person_at_a_terminal_is_asked_until_the_answer_is_one_of_the_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = io.StringIO()
    display = Display(Console(file=page, force_terminal=True, width=80, color_system=None))
    answers = iter(["patent", "patient"])
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    question = Question("which column names the patient", Guess("", False, "none"), ("", "patient", "id"), "say so")
    assert asker(display, yes=False)(question) == "patient"
    assert "(none), patient, id" in page.getvalue()
    assert "'patent' is none of these; did you mean 'patient'?" in page.getvalue()
    answers = iter([""])
    assert asker(display, yes=False)(question) == ""

    def stop(_: str) -> str:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the question went on")

    # A command that works is asked to stop after its step; a question has none.
    monkeypatch.setattr("builtins.input", stop)
    with display.listening(), pytest.raises(Interrupted):
        asker(display, yes=False)(question)


def test_a_title_above_the_header_of_a_workbook_is_named(cli: Callable[..., Any], tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["Dermatologie 2023"], ["id", "class"], *([f"r{i}", "AB"[i % 2]] for i in range(20))):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    answer = cli("init", tmp_path / "t.xlsx", "--target", "class", "--out", tmp_path / "t.toml", "--yes")
    assert answer.code == 2
    assert "the first row holds 'Dermatologie 2023' alone" in answer.err


def test_columns_that_no_recipe_may_use_are_left_out_by_themselves(cli: Callable[..., Any], tmp_path: Path) -> None:
    """A table of one's own may be cut from ISIC's, whose diagnoses and thicknesses are in it."""
    rows = [f"r{i};p{i // 2};{'AB'[i // 2 % 2]};{i % 7},5;{i % 3};{'xy'[i % 2]}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["id;patient;class;size;mel_thick_mm;iddx_4", *rows]))
    answer = cli("init", tmp_path / "t.csv", "--target", "class", "--out", tmp_path / "t.toml", "--yes")
    assert answer.code == 0, answer
    recipe = load_recipe(str(tmp_path / "t.toml"))
    assert recipe.data.folder is not None
    assert set(recipe.data.folder.forbidden) == {"mel_thick_mm", "iddx_4"}
    assert recipe.features.extra_columns == ("size",)
