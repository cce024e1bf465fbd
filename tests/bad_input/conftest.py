"""A bench for every test of bad inputs, and the account printed after them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.account import KINDS, summary
from tests.bad_input.bench import Bench, Row


@pytest.fixture
def bench(
    cli: Callable[..., Any],
    tiny_recipe: Path,
    few: Path,
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    """A bench in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, cli, tiny_recipe, few, finished_run)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note what became of every row."""
    report = yield
    row = getattr(item, "callspec", None) and item.callspec.params.get("row")
    if isinstance(row, Row) and (report.when == "call" or report.failed):
        how = "NOT HANDLED" if report.failed else "goes on and says so" if row.goes_on and row.words else (
            "goes on" if row.goes_on else "refused, exit code 2"
        )  # fmt: skip
        kind = item.path.stem.removeprefix("test_").replace("_", " ")
        KINDS.setdefault(kind, []).append(f"{row.name}: {how}")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of bad inputs and the account of the fuzzing."""
    summary(terminalreporter)
