"""Accuracy and AUC of what an epoch showed, as each image was answered when it was trained on.

Counts above a ladder of log-odds stand in for the answers: they add up over steps, processes and sittings.
"""

import torch
from torch import Tensor
from torch.nn import functional

from image_models.training.losses import log_probabilities

LOWEST, HIGHEST, RUNGS = -12.0, 12.0, 241
"""Log-odds of a class, a tenth apart: closer answers count as equal, which moves the AUC of a network that has learned
anything by about 0.002."""


class ShownScores:
    """Counts of the images of an epoch."""

    def __init__(self, classes: int, device: torch.device) -> None:
        rungs = torch.linspace(LOWEST, HIGHEST, RUNGS, device=device)
        self._rungs = torch.cat([torch.full((1,), -torch.inf, device=device), rungs])
        self.counts = torch.zeros(2, classes, RUNGS + 1, device=device)
        """Images of each class, and of the others, whose log-odds of it reach a rung; the first takes everyone."""
        self.right = torch.zeros(1, device=device)

    def counted(self, logits: Tensor, shares: Tensor) -> Tensor:
        """What a batch (N, outputs) with label shares (N, classes) adds, in one flat tensor."""
        log_p = log_probabilities(logits.detach())
        odds = log_p - torch.log((-torch.expm1(log_p)).clamp_min(1e-30))
        label = shares.argmax(dim=1)
        truth = functional.one_hot(label, shares.shape[1]).float()
        reached = (odds[:, :, None] >= self._rungs).float()
        own = torch.einsum("nc,ncr->cr", truth, reached)
        right = (log_p.argmax(dim=1) == label).sum()
        return torch.cat([right.float().reshape(1), torch.stack([own, reached.sum(dim=0) - own]).flatten()])

    def add(self, counted: Tensor) -> None:
        """Take a batch's counts in."""
        self.right += counted[:1]
        self.counts += counted[1:].view_as(self.counts)

    def tensors(self) -> dict[str, Tensor]:
        """For a saved state."""
        return {"counts": self.counts, "right": self.right}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from a saved state; one of before these counts has none."""
        for name, tensor in self.tensors().items():
            if name in tensors:
                tensor.copy_(tensors[name])

    def close(self) -> tuple[float, float | None]:
        """Accuracy, and AUC (of the positive class, or the mean over classes; None where a class was not shown)."""
        counts = self.counts.double().cpu()
        totals = counts[:, :, :1]
        accuracy = float(self.right) / float(totals[:, 0].sum())
        auc = None
        if totals.all():
            found, false = (counts / totals).flip(-1)
            # From the top rung down, beginning at the corner where nobody is called.
            areas = torch.trapezoid(functional.pad(found, (1, 0)), functional.pad(false, (1, 0)), dim=-1)
            auc = float(areas[1] if len(areas) == 2 else areas.mean())
        self.counts.zero_()
        self.right.zero_()
        return accuracy, auc
