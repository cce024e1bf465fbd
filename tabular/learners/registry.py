"""Every learner by name.

`LEARNERS["catboost"]` reads the small files of this folder and loads no library of any of them. A learner of one's own
is a file here, `LEARNERS.add(learner)` in a notebook, or an entry point of an installed package under
`fusionnetx.learners`.
"""

from data.registry import Registry
from tabular.learners.learner import Learner

LEARNERS: Registry[Learner] = Registry("tabular.learners", "LEARNER", "learner")
