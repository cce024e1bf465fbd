"""The [resources] table of a recipe: what a job of each kind may take. It changes how fast a run is, not what it finds.

Numbers of threads belong to the job, not to whoever executes it, because sums in another order differ in their last
bits: with equal numbers, one process and a cluster of like machines write equal bytes.
"""

from pydantic import BaseModel, ConfigDict, Field


class ResourcesRecipe(BaseModel):
    """What each kind of job takes; nothing here is part of a fingerprint.

    No machine has more than 1024 cores to ask for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    image_model_cpus: int = Field(default=0, ge=0, le=1024)
    """Threads of one image model; 0: three beside a GPU; on a processor one, where models run side by side, or, where
    there are several cores for each model of the run, as many as were measured to be worth it. No machine has more than
    1024 cores, here and below."""
    image_model_gpus: float | None = Field(default=None, ge=0, le=1)
    """Share of a GPU for one image model, 0.5 for two on a GPU at once; left out: a quarter where there is any."""
    image_models_at_once: int = Field(default=0, ge=0, le=1024)
    """Image models side by side on this machine, each in a process of its own; 0: as many as cores, GPUs and memory
    allow."""
    booster_threads: int = Field(default=1, ge=1, le=1024)
    """Threads of one booster. One thread each, side by side, waits less than all threads on one booster."""
    boosters_at_once: int = Field(default=0, ge=0, le=1024)
    """Boosters that one process fits side by side; 0: as many as the cores hold. Fewer take less memory."""
    search_threads: int = Field(default=0, ge=0, le=1024)
    """Threads of one search, shared by its trials at the same time; 0: the cores of the machine that starts the run."""
    retries: int = Field(default=3, ge=0, le=1000)
    """How often a cluster starts a job again whose worker or node died; what dies a thousand times always will."""
