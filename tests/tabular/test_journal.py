"""The journal of a search: what damage does to it, and what it keeps."""

import json
import logging
import os
from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import DataError
from tabular.learners.search_space import SearchSpace
from tabular.recipe import TuneRecipe
from tabular.tuning.journal import Journal, open_journal
from tabular.tuning.study import open_study, quiet, suggest
from tabular.tuning.trial_claims import finished
from tests.time_limit import no_longer_than

RECIPE = TuneRecipe(startup_trials=3)
SPACE = {"depth": SearchSpace(low=2, high=9), "rate": SearchSpace(low=0.01, high=1.0, log=True)}


def objective(trial: optuna.Trial) -> float:
    drawn = suggest(trial, SPACE)
    return float(drawn["rate"]) - 0.1 * abs(float(drawn["depth"]) - 5)


def complete(study: optuna.Study) -> list[tuple[object, object]]:
    """Parameters and value of every finished trial."""
    return [(trial.params, trial.values) for trial in study.trials if trial.values]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of six trials."""
    path = tmp_path_factory.mktemp("whole") / "study.journal"
    with quiet():
        open_study(path, "demo-lightgbm-0123", RECIPE).optimize(objective, n_trials=6)
    return path


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_the_trials_behind_it_and_nothing_else(journal, tmp_path, caplog, where, bit):
    content = bytearray(journal.read_bytes())
    place = int(where * len(content))
    content[place] ^= 1 << bit
    path = tmp_path / "study.journal"
    path.write_bytes(content)
    caplog.clear()
    with quiet(), caplog.at_level(logging.WARNING):
        whole = complete(open_study(journal, "demo-lightgbm-0123", RECIPE))
        if place < journal.read_bytes().index(b"\n") + 1:
            with pytest.raises(DataError, match="delete it to begin again"):
                open_study(path, "demo-lightgbm-0123", RECIPE)
            return
        study = open_study(path, "demo-lightgbm-0123", RECIPE)
        kept = complete(study)
        assert kept == whole[: len(kept)]
        study.optimize(objective, n_trials=6 - finished(study))
    assert complete(study) == whole
    if place < len(content) - 1:
        assert [record.message.count("is damaged in line") for record in caplog.records] == [1]


def test_a_line_taken_out_is_noticed(journal, tmp_path, caplog):
    lines = journal.read_bytes().splitlines(keepends=True)
    path = tmp_path / "study.journal"
    path.write_bytes(b"".join(lines[:7] + lines[8:]))
    with quiet(), caplog.at_level(logging.WARNING):
        open_study(path, "demo-lightgbm-0123", RECIPE)
    assert f"is damaged in line 8: the search goes on from the trials before it ({len(lines) - 8} lines" in caplog.text


def test_a_run_folder_renamed_in_mid_search_keeps_its_trials(tmp_path):
    with quiet():
        open_study(tmp_path / "s.journal", "old-name-lightgbm-0123", RECIPE).optimize(objective, n_trials=3)
        again = open_study(tmp_path / "s.journal", "new-lightgbm-0123", RECIPE)
        assert finished(again) == 3
        assert finished(open_study(tmp_path / "s.journal", "new-lightgbm-4567", RECIPE)) == 0


def test_a_journal_of_an_earlier_version_goes_on(tmp_path):
    path = tmp_path / "s.journal"
    with quiet():
        backend = optuna.storages.journal.JournalFileBackend(str(path))
        before = optuna.create_study(
            study_name="s", direction="maximize", storage=optuna.storages.JournalStorage(backend)
        )
        before.optimize(objective, n_trials=3)
        earlier = complete(before)
        open_study(path, "s", RECIPE).optimize(objective, n_trials=2)
        again = open_study(path, "s", RECIPE)
    assert complete(again)[:3] == earlier
    assert finished(again) == 5


@pytest.mark.parametrize("line", ['{"op_code":4,"worker_id":"w"}', '{"op_code":99}', "{}"])
def test_whole_lines_without_sense_are_one_message(tmp_path, line):
    path = tmp_path / "s.journal"
    path.write_text(line + "\n")
    with quiet(), pytest.raises(DataError, match=r"s.journal cannot be opened.*delete it to begin again") as caught:
        open_study(path, "s", RECIPE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["pipe", "grown"])
def test_what_is_no_journal_is_neither_waited_for_nor_read_to_its_end(journal, tmp_path, damage):
    path = tmp_path / "s.journal"
    if damage == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(journal.read_bytes())
        os.truncate(path, 2**32)
    with (
        quiet(),
        no_longer_than(2),
        pytest.raises(DataError, match=r"s.journal cannot be opened.*(regular|holes|than)"),
    ):
        open_study(path, "s", RECIPE)


def test_what_is_read_is_what_was_written(tmp_path):
    first = Journal(tmp_path / "j")
    first.append_logs([{"op_code": 0, "value": 0.1 + 0.2}, {"text": "läsion"}])
    first.append_logs([{"none": None}])
    assert list(Journal(tmp_path / "j").read_logs(0)) == list(first.read_logs(0))
    assert list(first.read_logs(2)) == [{"none": None}]
    assert open_journal(tmp_path / "empty").get_all_studies() == []
    assert json.loads((tmp_path / "j").read_text().splitlines()[2].partition(" ")[2]) == {"none": None}
