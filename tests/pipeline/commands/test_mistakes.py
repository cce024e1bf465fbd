"""What a user gets wrong: one message with the remedy, exit code 2, and no folder made."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["submission", "--recipe", "fusionet"], ["'fusionet'", "did you mean 'fusionnetx'?"]),
        (["submission", "--set", "sead=1"], ["sead", "did you mean 'seed'?"]),
        (["check", "--data", "nowhere"], ["nowhere", "does not exist"]),
        (["submission", "--recipe", "fusionnetx"], ["no data folder was given", "--data"]),
        (["show-augmentations", "--model", "lesion_nets"], ["'lesion_nets'", "did you mean 'lesion_net'?"]),
        (["predict", "--run", "never", "--metadata", "a", "--images", "b", "--out", "c"], ["runs/never", "--run"]),
        (["report", "--run", "never"], ["runs/never is not a run folder", "`fusionnetx runs`"]),
        (["compare"], ["the names of finished runs or --recipe"]),
        (["explain", "--lesion", "a", "--images", "b"], ["--images without --metadata"]),
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
    assert list(tmp_path.iterdir()) == []
