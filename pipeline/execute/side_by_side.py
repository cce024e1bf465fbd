"""How many image models are trained or asked at once on this machine, and with how many threads each."""

from typing import TYPE_CHECKING

import psutil

from data.errors import RecipeError
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime
from pipeline.step import Resources

if TYPE_CHECKING:
    from image_models.recipe import ImageModelRecipe

GPU_SHARE = 0.25
"""Of a GPU that an image model is given unless the recipe says otherwise: four at once."""
GPU_THREADS = 3
"""Beside a GPU: one gathers images, one launches kernels, one talks."""
PROCESS_BYTES = 700 * 2**20
"""What a process takes before it has a network: libraries and tables."""
FREE_SHARE = 0.8
"""Of the memory that is free now, what the models may take together."""
ABSURD = 2
"""An estimate of this many times all the memory that there is is refused: it may be wrong, but not by that much."""


def image_model_resources(
    recipe: Recipe, runtime: Runtime, model: "ImageModelRecipe | None" = None, models: int = 0
) -> Resources:
    """Threads and the share of a GPU of one image model of so many that the run has in all.

    They depend on the machine and the recipe, never on how many models run at once or are done already, because sums in
    another number of threads round otherwise.
    """
    granted, gpus = recipe.resources, runtime.executor.gpus(runtime)
    share = (min(GPU_SHARE, gpus) if granted.image_model_gpus is None else granted.image_model_gpus) if gpus else 0.0
    threads = granted.image_model_cpus or (
        min(GPU_THREADS, runtime.threads) if gpus else threads_of(model, models, runtime)
    )
    return Resources(threads, share)


def threads_of(model: "ImageModelRecipe | None", models: int, runtime: Runtime) -> int:
    """One, but where there are several cores for each model of the run, as many as it gains from.

    Nodes of a cluster differ, and what they have to spare is known to the cluster alone.
    """
    if model is None or not models or runtime.executor.spreads or models * 2 > runtime.threads:
        return 1
    from image_models.threads import worthwhile_threads

    threads = worthwhile_threads(model, runtime.threads // models, runtime.cache_dir)
    if threads > 1:
        runtime.note_once(f"{model.name}: {threads} threads each, because there are more cores than image models")
    return threads


def image_models_at_once(
    models: "list[ImageModelRecipe]", recipe: Recipe, runtime: Runtime, classes: int, *, training: bool, in_all: int = 0
) -> int:
    """As many as cores, the GPUs and memory allow; said before the work starts where memory is what bounds them.

    RecipeError for a model that no memory of this machine could ever hold.
    """
    wanted = recipe.resources.image_models_at_once
    each = [image_model_resources(recipe, runtime, model, in_all) for model in models]
    took = max(each, key=lambda one: one.cpus)
    # Beside a GPU a model can share its threads' cores, but not the one that launches its kernels.
    on_gpus = int(runtime.executor.gpus(runtime) / took.gpus) if took.gpus else 0
    most = min(on_gpus, runtime.threads) if took.gpus else runtime.threads // took.cpus
    most = max(1, wanted or most)
    needs = {model.name: PROCESS_BYTES + memory_of(model, classes, training=training) for model in models}
    refuse_the_absurd(needs, gpu_bytes() if took.gpus else psutil.virtual_memory().total)
    if not took.gpus:
        warn_of_too_little(models, needs, runtime)
    if most == 1:
        return 1
    need = max(needs.values())
    free = int(FREE_SHARE * (free_gpu_bytes() if took.gpus else psutil.virtual_memory().available))
    fits = max(1, free // need)
    if fits < most:
        runtime.display.say(
            f"memory: an image model takes about {need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free, so "
            f"{fits} instead of {most} are done at once"
        )
    return min(most, fits)


def memory_of(model: "ImageModelRecipe", classes: int, *, training: bool) -> int:
    """Bytes that a network takes at work, by estimate."""
    from image_models.networks.memory import working_bytes

    return working_bytes(model, classes, training=training)


def refuse_the_absurd(needs: dict[str, int], most: int) -> None:
    """RecipeError for models that take several times the memory of this machine."""
    for name, need in needs.items():
        if most and need > ABSURD * most:
            raise RecipeError(
                f"image model {name} would take about {need / 2**30:,.0f} GiB of memory, and there are "
                f"{most / 2**30:,.0f} GiB in all; lower its batch_size or image_size, or choose a smaller network"
            )


def warn_of_too_little(models: "list[ImageModelRecipe]", needs: dict[str, int], runtime: Runtime) -> None:
    """Say which model takes more than what is free now: the system may end its process in mid-work."""
    from image_models.networks.memory import memory_remedy

    free = psutil.virtual_memory().available
    for model in models:
        if needs[model.name] > free:
            runtime.warn_once(
                f"image model {model.name} takes about {needs[model.name] / 2**30:.1f} GiB of memory, and "
                f"{free / 2**30:.1f} GiB are free: {memory_remedy(model)}; held_stages keeps less for the way back"
            )


def gpu_bytes() -> int:
    """All the memory of the largest GPU; 0 where there is none."""
    import torch

    cards = range(torch.cuda.device_count())
    return max((torch.cuda.get_device_properties(number).total_memory for number in cards), default=0)


def free_gpu_bytes() -> int:
    """Free memory of all GPUs together."""
    import torch

    return sum(torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count()))
