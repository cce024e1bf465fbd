"""TensorBoard scalars of a fit, for those who want them; nothing else depends on TensorBoard."""

from pathlib import Path
from types import TracebackType
from typing import Any

from data.errors import TrainingError


class Scalars:
    """A writer of scalars, or of nothing when there is no folder."""

    def __init__(self, log_dir: Path | None, first_step: int) -> None:
        self._writer: Any = None
        if log_dir is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrainingError(
                "TensorBoard scalars were asked for, but tensorboard is not installed: pip install "
                "'fusionnetx[tracking]', or leave them out"
            ) from error
        # What an interrupted sitting wrote behind its last saved step is struck out.
        self._writer = SummaryWriter(str(log_dir), purge_step=first_step or None)

    def __enter__(self) -> "Scalars":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Write figures of one step."""
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)
