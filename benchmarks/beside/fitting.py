"""A process that trains for as many seconds as it is told to and says how many images a second it saw.

python -m benchmarks.beside.fitting <threads> <network> <side>
"""

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from data.errors import Interrupted

BATCH = 32
LESIONS = 320


def serve(threads: int, network: str, side: int) -> None:
    """Train whenever a number of seconds comes."""
    import numpy as np
    import torch

    from benchmarks.gpu_check.setting import made_up
    from image_models.recipe import ImageModelRecipe
    from image_models.training.train import FoldTask, Places, train_fold

    torch.set_num_threads(threads)
    recipe = ImageModelRecipe(
        name="benchmark",
        backbone=network,
        pretrained="none",
        image_size=side,
        batch_size=BATCH,
        epochs=100_000,
        precision="fp32",
        negatives_per_positive=0,
    )
    lesions = made_up(LESIONS, side)

    def trained(seconds: float) -> float:
        """Images a second of a fit that is stopped after so many."""
        first: list[float] = []
        steps = 0

        def listen(done: int, total: int, **figures: float) -> None:
            nonlocal steps
            now = time.perf_counter()
            first.append(now)
            steps = done
            if now - first[0] >= seconds and done > 1:
                raise Interrupted(130)

        with TemporaryDirectory() as folder:
            try:
                task = FoldTask(recipe, lesions, np.arange(LESIONS), seed=1, fingerprint="benchmark")
                train_fold(task, Places(Path(folder)), device="cpu", progress=listen)
            except Interrupted:
                pass
        return (steps - 1) * BATCH / (first[-1] - first[0])

    trained(0.0)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(trained(float(line))), flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
