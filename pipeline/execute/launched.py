"""Who started this process: a person, or `torchrun` as one of several. Looks at the environment, needs no PyTorch."""

import os


def launched_by_torchrun() -> bool:
    """Whether this process is one of several that `torchrun` started."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1


def follows() -> bool:
    """Whether `torchrun` started this process to follow another."""
    return launched_by_torchrun() and os.environ["RANK"] != "0"
