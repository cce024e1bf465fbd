"""Isotonic regression of two classes: the steps that rise with the score and lie closest to the answers. Numpy only.

The fit can only step up where a positive stands, so it works on as many blocks as there are distinct scores of
positives, however many lesions there are.
"""

import numpy as np

from data.scores.calibrators import StepCurve
from data.scores.ranking import Floats


def fit_steps(target: Floats, score: Floats) -> StepCurve:
    """Fit the steps (pool adjacent violators).

    No step is surer than the number of lesions allows: with n of them, none below 1 / (n + 2) or as far above the other
    end, because nobody has seen that an answer is certain.
    """
    order = np.argsort(score, kind="stable")
    x, y = score[order], target[order]
    levels = np.unique(x[y > 0])
    starts = np.searchsorted(x, np.append(-np.inf, levels), side="left")
    starts = np.unique(starts[starts < len(x)])
    ends = np.append(starts[1:], len(x))
    positives = np.diff(np.append(0.0, np.cumsum(y)[ends - 1]))
    steps: list[tuple[float, int, int]] = []
    for found, start, end in zip(positives.tolist(), starts.tolist(), ends.tolist(), strict=True):
        while steps and steps[-1][0] * (end - start) >= found * (steps[-1][2] - steps[-1][1]):
            before = steps.pop()
            found, start = found + before[0], before[1]
        steps.append((found, start, end))
    least = 1.0 / (len(x) + 2)
    points = [(x[at], min(max(found / (end - start), least), 1 - least))
              for found, start, end in steps for at in sorted({start, end - 1})]  # fmt: skip
    return StepCurve(*(tuple(float(value) for value in column) for column in zip(*points, strict=True)))
