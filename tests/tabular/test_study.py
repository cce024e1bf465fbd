"""Studies: repeatable draws, going on after a death, spaces."""

import optuna
import pytest
from optuna.trial import TrialState

from data.errors import DataError
from tabular.learners.search_space import SearchSpace
from tabular.recipe import TuneRecipe
from tabular.tuning.study import inside, open_study, quiet, suggest
from tabular.tuning.trial_claims import FAILURE, RETRY_OF, finished, is_dead

RECIPE = TuneRecipe(startup_trials=3)
SPACE = {
    "depth": SearchSpace(low=2, high=9),
    "rate": SearchSpace(low=0.01, high=1.0, log=True),
    "policy": SearchSpace(choices=("deep", "wide")),
}


def objective(trial):
    drawn = suggest(trial, SPACE)
    return drawn["rate"] - 0.1 * abs(drawn["depth"] - 5) + (drawn["policy"] == "deep")


def drawn(study):
    return [trial.params for trial in study.trials if not is_dead(trial)]


class PowerCut(BaseException):
    pass


def test_an_interrupted_study_draws_what_an_uninterrupted_one_does(tmp_path):
    with quiet():
        straight = open_study(tmp_path / "straight.journal", "s", RECIPE)
        straight.optimize(objective, n_trials=12)

        def dies_on_the_sixth(trial):
            value = objective(trial)
            if trial.number == 5:
                raise PowerCut
            return value

        broken = open_study(tmp_path / "broken.journal", "s", RECIPE)
        with pytest.raises(PowerCut):
            broken.optimize(dies_on_the_sixth, n_trials=12)
        again = open_study(tmp_path / "broken.journal", "s", RECIPE)
        assert finished(again) == 5
        again.optimize(objective, n_trials=7)
    assert drawn(again) == drawn(straight)
    assert finished(again) == 12
    assert [trial.user_attrs.get(RETRY_OF) for trial in again.trials][6] == 5


def test_a_dead_trial_is_queued_once(tmp_path):
    with quiet():
        study = open_study(tmp_path / "s.journal", "s", RECIPE)
        suggest(study.ask(), SPACE)
        for _ in range(3):
            study = open_study(tmp_path / "s.journal", "s", RECIPE)
            states = [trial.state for trial in study.trials]
            assert states == [TrialState.FAIL, TrialState.WAITING]


def test_a_fixed_first_trial_survives_a_death_before_it_drew(tmp_path):
    start = {"depth": 4, "rate": 0.5, "policy": "wide"}
    with quiet():
        study = open_study(tmp_path / "s.journal", "s", RECIPE)
        study.enqueue_trial(start)
        study.ask()
        study = open_study(tmp_path / "s.journal", "s", RECIPE)
        study.optimize(objective, n_trials=1)
    assert drawn(study) == [start]


def test_a_trial_refused_by_the_booster_counts_and_is_not_repeated(tmp_path):
    with quiet():
        study = open_study(tmp_path / "s.journal", "s", RECIPE)
        trial = study.ask()
        trial.set_user_attr(FAILURE, "no")
        study.tell(trial, state=TrialState.FAIL)
        study = open_study(tmp_path / "s.journal", "s", RECIPE)
        assert finished(study) == 1
        assert len(study.trials) == 1


def test_another_seed_draws_otherwise(tmp_path):
    with quiet():
        studies = [open_study(tmp_path / f"{seed}.journal", "s", TuneRecipe(seed=seed)) for seed in (1, 2)]
        for study in studies:
            study.optimize(objective, n_trials=2)
    assert drawn(studies[0]) != drawn(studies[1])


def test_a_storage_url_is_shared_by_workers(tmp_path):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    with quiet():
        first, second = open_study(url, "s", RECIPE), open_study(url, "s", RECIPE)
        with pytest.warns(UserWarning, match="Heartbeat"):
            running = first.ask()
        second = open_study(url, "s", RECIPE)
        assert [trial.state for trial in second.trials] == [TrialState.RUNNING], "another worker's trial is left alone"
        first.tell(running, 1.0)
        assert second.best_value == 1.0


def test_half_a_line_and_a_stale_lock_do_not_stop_it(tmp_path):
    path = tmp_path / "s.journal"
    with quiet():
        open_study(path, "s", RECIPE).optimize(objective, n_trials=3)
        with path.open("ab") as handle:
            handle.write(b'{"op_code":5,"worker_id"')
        (tmp_path / "s.journal.lock").symlink_to(path)
        study = open_study(path, "s", RECIPE)
        study.optimize(objective, n_trials=1)
        assert finished(study) == finished(open_study(path, "s", RECIPE)) == 4


def test_a_damaged_journal_is_refused(tmp_path):
    path = tmp_path / "s.journal"
    path.write_text("not a journal\nat all\n")
    with quiet(), pytest.raises(DataError, match=r"s.journal cannot be opened.*delete it to begin again"):
        open_study(path, "s", RECIPE)


@pytest.mark.parametrize("url", ["nonsense", "postgresql+nodriver://x/y", "sqlite:////nowhere/at/all/study.db"])
def test_a_storage_that_cannot_be_opened_is_one_message(url):
    with quiet(), pytest.raises(DataError, match=r"tuning storage .* cannot be opened") as caught:
        open_study(url, "s", RECIPE)
    assert "\n" not in str(caught.value)


def test_draws_stay_within_the_space_and_keep_their_kind():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        values = suggest(study.ask(), SPACE)
        assert isinstance(values["depth"], int)
        assert 2 <= values["depth"] <= 9
        assert 0.01 <= values["rate"] <= 1.0
        assert values["policy"] in ("deep", "wide")


def test_starting_values_are_moved_into_the_space_and_said():
    values, notes = inside(SPACE, {"depth": 12, "rate": 0.5, "policy": "flat"})
    assert values == {"depth": 9, "rate": 0.5}
    assert notes == [
        "depth = 12 is outside its space, so the first trial has 9",
        "policy = flat is not a choice of its space, so the first trial draws one",
    ]
    assert inside(SPACE, {"depth": 3, "rate": 1, "policy": "wide"}) == ({"depth": 3, "rate": 1.0, "policy": "wide"}, [])


def test_quiet_gives_back_what_it_took():
    level = optuna.logging.get_verbosity()
    with quiet():
        assert optuna.logging.get_verbosity() == optuna.logging.WARNING
    assert optuna.logging.get_verbosity() == level


def test_a_password_is_not_shown():
    url = "postgresql+psycopg://tuner:s3cret@127.0.0.1:1/none"
    with quiet(), pytest.raises(DataError, match=r"postgresql\+psycopg://tuner:\*\*\*@127.0.0.1:1/none") as caught:
        open_study(url, "s", RECIPE)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@host:notaport/x",
        "u:hunter2@localhost/x",
        "postgresql://u:a@hunter2@localhost:1/x",
        "postgresql:/u:hunter2@localhost/x",
    ],
)
def test_no_malformed_address_shows_its_password(url):
    with quiet(), pytest.raises(DataError, match="cannot be opened") as caught:
        open_study(url, "s", RECIPE)
    assert "hunter2" not in str(caught.value)
