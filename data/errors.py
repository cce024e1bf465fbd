"""The ways a run can stop that are not bugs: the user's mistakes, and an interruption.

Every message names the object, the cause and the remedy; the command line prints it without a traceback.
"""

from collections.abc import Iterable
from itertools import islice


def examples(names: Iterable[object], limit: int = 5) -> str:
    """First few of many names, for a message."""
    shown = list(islice(names, limit + 1))
    return ", ".join(map(str, shown[:limit])) + (", ..." if len(shown) > limit else "")


class FusionNetXError(Exception):
    """A problem in what the user gave (data, recipe, run folder, device). The command line exits with 2."""


class DataError(FusionNetXError):
    """The data folder, a table, an image or a fold file is not what it must be."""


class RecipeError(FusionNetXError):
    """The recipe has an unknown key, a value of the wrong kind or an impossible combination."""


class TrainingError(FusionNetXError):
    """A model cannot be trained as asked: no memory left, a loss that is not a number, missing weights."""


class Interrupted(BaseException):
    """The user asked to stop (SIGTERM or Ctrl-C): finish the step, save what allows going on, and let it pass.

    A BaseException, so that no `except Exception` swallows it.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"interrupted (exit code {exit_code})")
        self.exit_code = exit_code
