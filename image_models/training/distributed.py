"""The processes that train and predict one model together: who takes which rows, and how they agree.

PyTorch's own process group does the work (gloo between CPUs, NCCL between GPUs); somebody else has started it, by
`torchrun` or otherwise. What one process finds out alone (a measurement, a saved state) it tells as JSON and tensors in
safetensors, never as pickled objects. Gradients are exchanged in `ddp_model.py`.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load, save
from torch import Tensor, distributed, nn

from image_models.device import device_name


@dataclass(frozen=True)
class Ranks:
    """One of `count` processes, each of which holds the whole model and takes its share of every batch."""

    number: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that reads states, writes files and shows progress."""
        return self.number == 0

    def share_of(self, number: int, length: int) -> slice:
        """The rows of process `number` out of `length`: blocks in order that differ by one row at most.

        Where there are rows at all, the leading process has some.
        """
        return slice(-(-length * number // self.count), -(-length * (number + 1) // self.count))

    def share(self, length: int) -> slice:
        """The rows of this process; none where there are fewer rows than processes."""
        return self.share_of(self.number, length)

    def joined(self, part: Tensor, length: int, dim: int = 0) -> Tensor:
        """All processes' shares of `length` rows in order, each row once, in every process."""
        if self.count == 1:
            return part
        parts = []
        for number in range(self.count):
            block = self.share_of(number, length)
            shape = [*part.shape[:dim], block.stop - block.start, *part.shape[dim + 1 :]]
            held = part.contiguous() if number == self.number else part.new_empty(shape)
            if held.shape[dim]:
                distributed.broadcast(held, number)
            parts.append(held)
        return torch.cat(parts, dim=dim)

    def total(self, number: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        if self.count > 1:
            distributed.all_reduce(number)
        return number

    def agreed(self, value: Any) -> Any:
        """What the leading process holds, in every process: anything that JSON can hold."""
        if self.count == 1:
            return value
        return json.loads(broadcast_bytes(json.dumps(value).encode() if self.leads else b""))

    def agreed_state(
        self, saved: tuple[dict[str, Tensor], dict[str, Any]] | None
    ) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The saved state that the leading process has read, in every process."""
        position = self.agreed(saved[1] if saved is not None else None)
        if position is None or self.count == 1:
            return saved
        return load(broadcast_bytes(save(saved[0]) if self.leads and saved is not None else b"")), position

    def agreed_array(self, array: npt.NDArray[np.float32] | None) -> npt.NDArray[np.float32] | None:
        """The array that the leading process holds, or its None, in every process."""
        shape = self.agreed(None if array is None else list(array.shape))
        if shape is None or self.count == 1:
            return array
        whole = torch.empty(shape) if array is None else torch.from_numpy(np.ascontiguousarray(array))
        distributed.broadcast(whole, 0)
        return whole.numpy()

    def same_weights(self, model: nn.Module) -> None:
        """Give every process the leading one's weights and batch statistics."""
        if self.count > 1:
            with torch.no_grad():
                for tensor in model.state_dict().values():
                    whole = tensor.contiguous()
                    distributed.broadcast(whole, 0)
                    tensor.copy_(whole)

    def device_name(self, device: torch.device) -> str:
        """Name for a report: `cpu`, or `2 x cpu`."""
        name = device_name(device)
        return name if self.count == 1 else f"{self.count} x {name}"


ALONE = Ranks()
"""A process of its own."""


def broadcast_bytes(message: bytes, group: distributed.ProcessGroup | None = None) -> bytes:
    """The leading process's message, in every process of the group; others give anything."""
    leads = distributed.get_rank() == 0
    length = torch.tensor([len(message)], dtype=torch.int64)
    distributed.broadcast(length, 0, group=group)
    if leads:
        text = torch.frombuffer(bytearray(message), dtype=torch.uint8) if message else torch.empty(0, dtype=torch.uint8)
    else:
        text = torch.empty(int(length), dtype=torch.uint8)
    if len(text):
        distributed.broadcast(text, 0, group=group)
    return text.numpy().tobytes()
