"""Jobs under one bar, bounded by what the recipe grants."""

from collections.abc import Sequence

from pipeline.execute.job import Done, Job
from pipeline.inputs import Inputs
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime


def run_all(inputs: Inputs, runtime: Runtime, jobs: Sequence[Job], label: str, at_once: int = 1) -> list[Done]:
    """Have the jobs done, under a bar; a request to stop is obeyed between them."""
    done: list[Done] = []
    if jobs:
        with runtime.display.task(label) as progress:
            progress(0, len(jobs))
            for finished in runtime.executor.run(inputs, runtime, jobs, at_once):
                done.append(finished)
                progress(len(done), len(jobs))
    return done


def boosters_at_once(recipe: Recipe, runtime: Runtime) -> int:
    """Boosters that one process fits side by side."""
    resources = recipe.resources
    return max(1, resources.boosters_at_once or runtime.threads // resources.booster_threads)
