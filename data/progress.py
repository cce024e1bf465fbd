"""How long work tells how far it is, without knowing who listens.

The command line draws bars from these calls or writes a plain log; a caller that does not care passes
`silent`. A listener may raise `data.errors.Interrupted`: work that can be continued saves its state then.
"""

from typing import Protocol


class Progress(Protocol):
    """Called after each step of a piece of work."""

    def __call__(self, done: int, total: int, **figures: float) -> None:
        """Say that `done` of `total` units are finished, with figures to show (loss, images_per_second)."""


def silent(done: int, total: int, **figures: float) -> None:
    """Listen to nothing."""
