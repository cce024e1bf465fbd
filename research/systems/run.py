"""A comparison of systems on one data set: a job per system, its results by each protocol kept, then one table."""

import dataclasses
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline.steps.image_jobs import image_model_gpus, image_model_threads, shared_training_lesions, use_threads
from pipeline.workspace import Workspace

from data.errors import RecipeError
from data.files import write_json, write_text
from pipeline.execute.job import Job
from pipeline.execute.running import run_all
from pipeline.recipe import Recipe
from research.systems.network import NetworkJob
from research.systems.protocols import PROTOCOLS, ProtocolName
from research.systems.registry import SOURCES, System, chosen_systems
from research.systems.table import html_page, markdown, print_table
from research.systems.told import told_columns, unable
from research.systems.two_stage import TwoStageJob

if TYPE_CHECKING:
    from image_models.lesions import Lesions

FAST_PACK, FAST_FOLDS = 112, 3
FAST_REPLICATES, REPLICATES = 200, 1_000


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how."""

    systems: tuple[System, ...]
    protocols: tuple[ProtocolName, ...] = PROTOCOLS
    fast: bool = False
    largest: int = 0


def run_systems(space: Workspace, comparison: Comparison, *, as_markdown: bool = False) -> dict[str, Any]:
    """Run what is missing, print the table, and write it into the run folder as JSON, markdown and a page."""
    jobs = system_jobs(space, comparison)
    answers = {done.job.title: done.answer for done in run_all(space, jobs, "systems")}
    found = [result for job in jobs for result in answers[job.title]]
    figures = {
        "reader": space.recipe.data.reader,
        "synthetic": space.synthetic,
        "fast": comparison.fast,
        "classes": len(space.data.train.task.classes),
        "results": found,
    }
    text = markdown(figures)
    write_json(space.run_dir / "systems.json", figures)
    write_text(space.run_dir / "systems.md", text)
    write_text(space.run_dir / "systems.html", html_page(figures))
    if as_markdown:
        space.display.say(text)
    else:
        print_table(space.display.console, figures)
    space.display.say(f"wrote {space.run_dir / 'systems.html'}, and the same as systems.md and systems.json")
    return figures


def system_jobs(space: Workspace, comparison: Comparison) -> list[Job]:
    """One job per system that can be run, both protocols in turn: frozen networks share their vectors."""
    able: list[System] = []
    for system in comparison.systems:
        reason = why_not(system, space.recipe)
        if reason is None:
            able.append(system)
        else:
            space.display.say(f"{system.name}: left out, because {reason}")
    if not able:
        raise RecipeError("none of the systems can be run on this data set; `fusionnetx systems` says what each needs")
    if space.executor.spreads:
        prepare(Worlds(space, comparison), able)
    gpus = image_model_gpus(space)
    # Without a GPU, networks with a core each, side by side, get more done than one after the other on all cores.
    alone = space.executor.spreads and not gpus
    threads = space.recipe.resources.image_model_cpus or (1 if alone else image_model_threads(space))
    return [
        Job(
            work="system",
            arguments=(
                f"[{number}/{len(able)}]", threads, system.name, int(comparison.fast), comparison.largest,
                *comparison.protocols,
            ),
            title=system.name,
            cpus=threads,
            gpus=gpus,
        )
        for number, system in enumerate(able, start=1)
    ]  # fmt: skip


def prepare(worlds: "Worlds", systems: list[System]) -> None:
    """Make what several workers would each make at the same moment: folds and packed images."""
    # By the folds of the run folder a worker knows that it sees that folder.
    space = worlds.space
    _ = dataclasses.replace(space, recipe=space.recipe.model_copy(update={"folds": worlds.folds})).folds
    for system in systems:
        for protocol in worlds.comparison.protocols:
            view = worlds.placed(system, protocol)
            _ = view.folds
            if system.two_stages or system.network.backbone != "none":
                _ = view.train_pack


def run_system(
    space: Workspace, position: str, threads: int, name: str, fast: int, largest: int, *protocols: ProtocolName
) -> list[dict[str, Any]]:
    """Do a job of a comparison."""
    use_threads(threads)
    (system,) = chosen_systems(name)
    worlds = Worlds(space, Comparison((system,), protocols, bool(fast), largest))
    return [worlds.result(system, protocol, f"{position} {name}, {protocol}") for protocol in protocols]


def why_not(system: System, recipe: Recipe) -> str | None:
    """Why a system cannot be run on this data set, or None."""
    if recipe.data.reader == "tcga_skcm" and (system.two_stages or system.network.backbone != "none"):
        return "the data set has no images"
    return None if system.two_stages else unable(system.network, told_columns(recipe.data.reader))


class Worlds:
    """The data as the protocols see them: by published or sound pairing, packed at the sizes that networks need."""

    def __init__(self, space: Workspace, comparison: Comparison) -> None:
        self.space, self.comparison = space, comparison
        self.world = cache(self._world)
        self.folds = space.recipe.folds
        if comparison.fast and self.folds.file is None:
            self.folds = self.folds.model_copy(update={"count": FAST_FOLDS})

    def _world(self, protocol: ProtocolName, size: int) -> Workspace:
        """A view of the run with images of one size; all views share its folder and its cache."""
        space = self.space
        data = space.recipe.data.model_copy(update={"image_size": size})
        if data.pairing is not None:
            data = data.model_copy(update={"pairing": paired(data.pairing, protocol)})
        view = Workspace(
            recipe=space.recipe.model_copy(update={"data": data, "folds": self.folds, "image_models": ()}),
            run_dir=space.run_dir / "systems" / protocol,
            cache_dir=space.cache_dir,
            weights_dir=space.weights_dir,
            display=space.display,
            data_dir=space.source_dir if not space.synthetic else None,
        )
        view.__dict__["source_dir"] = space.source_dir
        if data.pairing is None:
            view.__dict__["data"] = space.data
        return view

    def result(self, system: System, protocol: ProtocolName, label: str) -> dict[str, Any]:
        """Figures of one system by one protocol, from its kept result or from running it."""
        fast, space = self.comparison.fast, self.space
        job: TwoStageJob | NetworkJob
        if system.two_stages:
            job = TwoStageJob(self.placed(system, protocol), system, protocol, fast)
            scored = job.run(None, label)
        else:
            job = NetworkJob(self.placed(system, protocol), system, protocol, fast, self.comparison.largest)
            scored = job.run(self.lesions(job), label)
        replicates = FAST_REPLICATES if fast else REPLICATES
        train = job.space.data.train
        figures = scored.figures(train, replicates=replicates, seed=space.recipe.seed)
        result = {**about(system), "protocol": protocol, **figures}
        write_json(job.space.run_dir / system.name / "result.json", result)
        score = figures["scores"]
        space.display.say(
            f"{label}: accuracy {score['accuracy']['estimate']:.3f}, AUC {score['auc']['estimate']:.3f} "
            f"({figures['rows']:,} rows of {figures['images']:,} images)"
        )
        return result

    def placed(self, system: System, protocol: ProtocolName) -> Workspace:
        """The view whose images are as large as the system's network wants them."""
        if system.two_stages:
            return self.world(protocol, FAST_PACK if self.comparison.fast else self.comparison.largest or 224)
        smallest = self.world(protocol, FAST_PACK)
        model = NetworkJob(smallest, system, protocol, self.comparison.fast, self.comparison.largest).model
        size = FAST_PACK if self.comparison.fast or model.backbone == "none" else model.input_size
        return self.world(protocol, size)

    def lesions(self, job: NetworkJob) -> "Lesions":
        """The cohort as arrays, with images where the network sees any."""
        from pipeline.steps.fold_models import training_lesions

        view = job.space
        if job.model.backbone == "none":
            return training_lesions(view, images=False)
        return shared_training_lesions(with_model(view, job))


def with_model(view: Workspace, job: NetworkJob) -> Workspace:
    """The view as stage one sees it: with a model that looks at images."""
    blind = dataclasses.replace(
        job.model, metadata=dataclasses.replace(job.model.metadata, columns=()), site_column="", fusion="concatenation"
    )
    view.recipe = view.recipe.model_copy(update={"image_models": (blind,)})
    return view


def paired(pairing: Any, protocol: ProtocolName) -> Any:
    """By label as published; else as the recipe says, and where that is by label, at random."""
    if protocol == "published":
        return pairing.model_copy(update={"method": "by_label"})
    return pairing.model_copy(update={"method": "at_random"}) if pairing.method == "by_label" else pairing


def about(system: System) -> dict[str, Any]:
    """What is known of a system without running it."""
    facts = asdict(system)
    return {
        "system": system.name,
        "source": system.source,
        "of": SOURCES[system.source],
        "title": system.title,
        "published_on": system.published_on,
        "published": facts["published"],
        "recipe": system.recipe,
    }
