"""A comparison of systems on one data set: a job per system, its results by each protocol kept, then one table."""

from typing import Any

from data.errors import RecipeError
from data.files import write_json, write_text
from data.readers import READERS
from data.readers.reading import ToldColumns
from image_models.recipe import ImageModelRecipe
from pipeline.execute.job import Job
from pipeline.execute.running import run_all
from pipeline.execute.side_by_side import image_model_resources
from pipeline.inputs import Inputs
from pipeline.recipe import Recipe
from pipeline.runtime import Runtime
from pipeline.steps.fold_model import use_threads
from research.systems.comparison import Comparison, divided
from research.systems.network import NetworkRun
from research.systems.page import html_page
from research.systems.protocols import ProtocolName
from research.systems.registry import DATA_SETS, SOURCES, System, chosen_systems
from research.systems.table import markdown, print_table
from research.systems.two_stage import run_two_stages

FAST_REPLICATES, REPLICATES = 200, 1_000


def run_systems(
    inputs: Inputs, runtime: Runtime, comparison: Comparison, *, as_markdown: bool = False
) -> dict[str, Any]:
    """Run what is missing, print the table, and write it into the run folder as JSON, markdown and a page."""
    jobs, folder, display = system_jobs(inputs, runtime, comparison), inputs.run.folder, runtime.display
    answers = {done.job.title: done.answer for done in run_all(inputs, runtime, jobs, "systems")}
    reader = inputs.run.recipe.data.reader
    figures = {
        "reader": reader,
        "data_set": DATA_SETS.get(reader, reader),
        "synthetic": inputs.run.invented,
        "fast": comparison.fast,
        "classes": len(inputs.data.train.task.classes),
        "words": inputs.data.train.task.words,
        "results": [result for job in jobs for result in answers[job.title]],
    }
    text = markdown(figures)
    write_json(folder / "systems.json", figures)
    write_text(folder / "systems.md", text)
    write_text(folder / "systems.html", html_page(figures))
    if as_markdown:
        display.say(text)
    else:
        print_table(display.console, figures)
    display.say(f"wrote {folder / 'systems.html'}, and the same as systems.md and systems.json")
    return figures


def system_jobs(inputs: Inputs, runtime: Runtime, comparison: Comparison) -> list[Job]:
    """One job per system that can be run, both protocols in turn: frozen networks share their vectors."""
    recipe = inputs.run.recipe
    reasons = [(system, why_not(system, recipe)) for system in comparison.systems]
    for system, reason in reasons:
        if reason is not None:
            runtime.display.say(f"{system.name}: left out, because {reason}")
    able = [system for system, reason in reasons if reason is None]
    if not able:
        raise RecipeError("none of the systems can be run on this data set; `fusionnetx systems` says what each needs")
    spreads = runtime.executor.spreads
    if spreads:
        prepare(inputs, runtime, comparison, able)
    granted = image_model_resources(recipe, runtime)
    # Without a GPU, networks with a core each, side by side, get more done than one after the other on all cores.
    shared = spreads or granted.gpus or recipe.resources.image_model_cpus
    return [
        Job(
            function="research.systems.run:run_system",
            arguments=(system.name, int(comparison.fast), comparison.largest, *comparison.protocols),
            title=system.name,
            position=f"[{number}/{len(able)}]",
            cpus=granted.cpus if shared else runtime.threads,
            gpus=granted.gpus,
        )
        for number, system in enumerate(able, start=1)
    ]


def prepare(inputs: Inputs, runtime: Runtime, comparison: Comparison, systems: list[System]) -> None:
    """Make what several workers would each make at the same moment: folds and packed images."""
    divided(inputs)  # by the folds of the run folder a worker knows that it sees that folder
    for system in systems:
        for protocol in comparison.protocols:
            view = comparison.view(inputs, runtime, system, protocol)
            if system.two_stages or system.network.backbone != "none":
                _ = view.train_pack


def run_system(
    inputs: Inputs, runtime: Runtime, name: str, fast: int, largest: int, *protocols: ProtocolName
) -> list[dict[str, Any]]:
    """Do a job of a comparison."""
    use_threads(runtime)
    (system,) = chosen_systems(name)
    comparison = Comparison((system,), protocols, bool(fast), largest)
    return [result_of(inputs, runtime, comparison, system, protocol) for protocol in protocols]


def result_of(
    inputs: Inputs, runtime: Runtime, comparison: Comparison, system: System, protocol: ProtocolName
) -> dict[str, Any]:
    """Figures of one system by one protocol, from its kept result or from running it."""
    label = f"{runtime.position} {system.name}, {protocol}".lstrip()
    view, fast = comparison.view(inputs, runtime, system, protocol), comparison.fast
    if system.two_stages:
        scored = run_two_stages(view, system, protocol, label, fast=fast)
    else:
        scored = NetworkRun(view, system, protocol, comparison).run(label)
    replicates = FAST_REPLICATES if fast else REPLICATES
    figures = scored.figures(view.data.train, replicates=replicates, seed=inputs.run.recipe.seed)
    result = {**about(system, view.run.recipe.data.reader), "protocol": protocol, **figures}
    write_json(view.run.folder / system.name / "result.json", result)
    score = figures["scores"]
    runtime.display.say(
        f"{label}: accuracy {score['accuracy']['estimate']:.3f}, AUC {score['auc']['estimate']:.3f} "
        f"({figures['rows']:,} rows of {figures['images']:,} images)"
    )
    return result


def why_not(system: System, recipe: Recipe) -> str | None:
    """Why a system cannot be run on this data set, or None."""
    reader = READERS[recipe.data.reader]
    if not reader.has_images and (system.two_stages or system.network.backbone != "none"):
        return "the data set has no images"
    return None if system.two_stages else unable(system.network, reader.told_columns)


def unable(model: ImageModelRecipe, known: ToldColumns) -> str | None:
    """Why a network cannot learn what it needs beside the image from this data set, or None."""
    if model.metadata.columns and not known.columns:
        return "the data set has no metadata that a network is told"
    if model.site_column and not known.site:
        return "the data set does not say where on the body a lesion is"
    return None


def about(system: System, reader: str) -> dict[str, Any]:
    """What is known of a system without running it: its figures of this data set, else those of another."""
    data_set = DATA_SETS.get(reader, reader)
    if data_set not in system.published:
        data_set = next(iter(system.published), "")
    return {
        "system": system.name,
        "source": system.source,
        "of": SOURCES[system.source],
        "title": system.title,
        "published_on": data_set,
        "published": dict(system.published.get(data_set, {})),
        "recipe": system.recipe,
    }
