"""Who does which trial of a study that several workers share: as many as asked, none twice, none lost.

A study of n trials has n claims. A claim goes from a trial to its retry when a worker dies, and to nobody else. Which
trial holds which claim is read off the list of trials alone, so all workers see the same without talking to each other;
what two of them began at the same moment for one claim, the later one withdraws.
"""

import os
import socket
import time
from collections.abc import Callable, Sequence

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from data.errors import DataError, TrainingError

FAILURE = "failure"
"""User attribute of a trial whose parameters the booster refused: it counts, and is not tried again."""
RETRY_OF = "retry_of"
"""User attribute of a trial that takes the place of one whose process died."""
FROM_RECIPE = "from_recipe"
"""User attribute of the trial with the member's parameters as its recipe has them."""
WITHDRAWN = "withdrawn"
"""User attribute of a trial that another worker's made superfluous before it began."""
WORKER = "worker"
"""User attribute: host and process that does or did a trial."""
FINISHED_BY_OTHERS = {f"Cannot tell a {state.name} trial." for state in TrialState if state.is_finished()}
"""What Optuna says to a worker whose trial has ended without it."""
LOOK_SECONDS = 1.0
"""How often a worker without a claim looks whether one has come free."""


class WithdrawnError(Exception):
    """A trial that no claim is left for."""


def is_dead(trial: FrozenTrial) -> bool:
    """Whether a trial ended with its process, not by itself."""
    return trial.state is TrialState.FAIL and not {FAILURE, WITHDRAWN} & set(trial.user_attrs)


def is_finished(trial: FrozenTrial) -> bool:
    """Whether a trial came to an end that counts."""
    return trial.state.is_finished() and not is_dead(trial)


def claims(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trial that holds each claim, in the order in which the claims were first taken."""
    holders: list[FrozenTrial] = []
    claim_of: dict[int, int] = {}
    for trial in trials:
        attributes = trial.user_attrs
        if WITHDRAWN in attributes:
            continue
        if RETRY_OF in attributes:
            claim = claim_of.get(attributes[RETRY_OF])
            # Two workers saw the same death: the second retry finds its claim with the first.
            if claim is None or holders[claim].number != attributes[RETRY_OF]:
                continue
            holders[claim] = trial
        elif FROM_RECIPE in attributes and any(FROM_RECIPE in holder.user_attrs for holder in holders):
            continue
        else:
            claim = len(holders)
            holders.append(trial)
        claim_of[trial.number] = claim
    return holders


def claims_of(study: Study) -> list[FrozenTrial]:
    """The same of a study."""
    return claims(study.get_trials(deepcopy=False))


def finished(study: Study) -> int:
    """Trials that count towards the number asked for."""
    return sum(map(is_finished, claims_of(study)))


def requeue_dead(study: Study, *, keep_drawn: bool = True) -> None:
    """Queue every claim whose worker died, with what had been drawn for it (or only with what it was given)."""
    for trial in claims_of(study):
        if is_dead(trial):
            wanted = {**trial.system_attrs.get("fixed_params", {}), **(trial.params if keep_drawn else {})}
            study.enqueue_trial(wanted, user_attrs={**trial.user_attrs, RETRY_OF: trial.number})


def fill(
    study: Study, objective: Callable[[Trial], float], wanted: int, jobs: int, look: Callable[[int], object]
) -> None:
    """Do trials until `wanted` claims are finished, here or by other workers; `look` is told how many are."""

    def begun(trial: Trial) -> float:
        if trial.number not in {holder.number for holder in claims_of(study)[:wanted]}:
            trial.set_user_attr(WITHDRAWN, True)
            raise WithdrawnError
        trial.set_user_attr(WORKER, f"{socket.gethostname()}:{os.getpid()}")
        return objective(trial)

    def stop_when_done(study: Study, _: FrozenTrial) -> None:
        if not has_open_claim(study, wanted, look):
            study.stop()

    try:
        while has_open_claim(study, wanted, look):
            try:
                study.optimize(begun, n_jobs=jobs, callbacks=[stop_when_done], catch=(TrainingError, WithdrawnError))
            except (UpdateFinishedTrialError, ValueError) as error:
                if not was_given_away(error):
                    raise
    except Exception as error:
        reason = storage_failure(error)
        if reason is None:
            raise
        raise DataError(
            f"the tuning storage stopped answering ({reason}); when it is back, start the same command again and the "
            "study goes on"
        ) from error


def storage_failure(error: BaseException | None) -> str | None:
    """What the database said, if that is what an exception came from; Optuna may fail over the failure itself."""
    while error is not None:
        if isinstance(error, SQLAlchemyError):
            return str(error).splitlines()[0]
        error = error.__cause__ or error.__context__
    return None


def was_given_away(error: Exception) -> bool:
    """Whether another worker ended this one's trial.

    It took this one for dead, which stood still for longer than the grace period and came back; or both began the same
    queued trial at the same moment, which a database without locks on rows (SQLite) lets them do. Either way the trial
    counts once, as the first of them told it.
    """
    return isinstance(error, UpdateFinishedTrialError) or str(error) in FINISHED_BY_OTHERS


def has_open_claim(study: Study, wanted: int, look: Callable[[int], object]) -> bool:
    """Whether a trial is to be done; waits while others are at work, because any of them may die."""
    while True:
        optuna.storages.fail_stale_trials(study)
        requeue_dead(study)
        holders = claims_of(study)[:wanted]
        done = sum(map(is_finished, holders))
        look(done)
        if done >= wanted:
            return False
        if len(holders) < wanted or any(holder.state is TrialState.WAITING for holder in holders):
            return True
        time.sleep(LOOK_SECONDS)
