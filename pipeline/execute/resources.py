"""The [resources] table of a recipe: what a job of each kind may take. It changes how fast a run is, not what it finds.

Numbers of threads belong to the job, not to whoever executes it, because sums in another order differ in their last
bits: with equal numbers, one process and a cluster of like machines write equal bytes.
"""

from pydantic import BaseModel, ConfigDict, Field


class ResourcesRecipe(BaseModel):
    """What each kind of job takes; nothing here is part of a fingerprint."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    image_model_cpus: int = Field(default=0, ge=0)
    """Threads of one image model and the cores kept for it; 0: as many as PyTorch takes where the run starts."""
    image_model_gpus: float | None = Field(default=None, ge=0)
    """GPUs that a cluster keeps for one image model, 0.5 for two on a GPU; left out: one where the cluster has any."""
    booster_threads: int = Field(default=1, ge=1)
    """Threads of one booster. One thread each, side by side, waits less than all threads on one booster."""
    boosters_at_once: int = Field(default=0, ge=0)
    """Boosters that one process fits side by side; 0: as many as the cores hold. Fewer take less memory."""
    search_threads: int = Field(default=0, ge=0)
    """Threads of one search, shared by its trials at the same time; 0: the cores of the machine that starts the run."""
    retries: int = Field(default=3, ge=0)
    """How often a cluster starts a job again whose worker or node died."""
