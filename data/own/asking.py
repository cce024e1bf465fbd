"""Questions about a table that its cells leave open, and who answers them."""

from collections.abc import Callable
from dataclasses import dataclass

from data.errors import DataError
from data.own.roles import Guess


@dataclass(frozen=True)
class Question:
    """What is not sure, with a guess."""

    text: str
    guess: Guess
    options: tuple[str, ...]
    """What may be answered; any other word is refused."""
    remedy: str
    """How to answer it beforehand."""


Ask = Callable[[Question], str]
"""Answers a question with one of its options."""


def refuse_unsure(question: Question) -> str:
    """Answer with a guess that is sure; DataError for one that is not."""
    if question.guess.sure:
        return question.guess.value
    raise DataError(f"{question.text}: {question.remedy}")
