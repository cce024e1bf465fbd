"""What stages do with jobs: run them all under one bar, bounded by what the recipe grants."""

from collections.abc import Sequence

from pipeline.execute.job import Done, Job
from pipeline.workspace import Workspace


def run_all(space: Workspace, jobs: Sequence[Job], label: str, at_once: int = 1) -> list[Done]:
    """Have the jobs done, under a bar; a request to stop is obeyed between them."""
    done: list[Done] = []
    if jobs:
        with space.display.task(label) as progress:
            progress(0, len(jobs))
            for finished in space.executor.run(space, jobs, at_once):
                done.append(finished)
                progress(len(done), len(jobs))
    return done


def boosters_at_once(space: Workspace) -> int:
    """Boosters that one process fits side by side."""
    resources = space.recipe.resources
    return max(1, resources.boosters_at_once or space.threads // resources.booster_threads)
