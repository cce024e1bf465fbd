"""A job with all that a process elsewhere needs to do it: recipe, folders, and what to fetch; as JSON.

The answer travels as JSON too, the user's mistakes included, so that they are raised again as what they are.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data import errors
from data.errors import DataError, FusionNetXError, Interrupted
from data.files import fingerprint, no_room, sha256_of
from pipeline.display import Display
from pipeline.execute.job import Job, perform
from pipeline.execute.local import LocalExecutor
from pipeline.execute.shared_store import Files, SharedStore, scratch_dir
from pipeline.inputs import Inputs
from pipeline.recipe import Recipe
from pipeline.run import Run
from pipeline.runtime import Runtime

MARK = "folds.json"
"""Says when the folds were made, so another folder under the same path is told from the driver's."""
NAMES = ("run_dir", "cache_dir", "weights_dir", "data_dir", "working_dir")


@dataclass(frozen=True)
class Order:
    """What a worker is sent."""

    job: Job
    recipe: str
    """The recipe as JSON."""
    folders: Mapping[str, str | None]
    """Folders of the driver, absolute."""
    invented: bool
    """Whether the lesions are."""
    storage: str | None
    tensorboard: bool
    mark: str
    """Checksum of the driver's `MARK`."""
    store: str | None = None
    """Where inputs are fetched from and outputs are left; None where workers share the driver's folders."""
    files: Files | None = None
    """Checksum of every input file in the store."""

    def to_json(self) -> str:
        """For the wire."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Order":
        """What `to_json` wrote."""
        facts = json.loads(text)
        return Order(**{**facts, "job": Job.from_dict(facts["job"])})


def order_for(inputs: Inputs, runtime: Runtime, job: Job, store: SharedStore | None = None) -> Order:
    """The order of a job; with a store, its inputs are put there first."""
    run = inputs.run
    order = Order(
        job=job,
        recipe=run.recipe.model_dump_json(),
        folders=folders_of(run, runtime),
        invented=run.invented,
        storage=runtime.storage,
        tensorboard=runtime.tensorboard,
        mark=sha256_of(run.folder / MARK),
    )
    if store is None:
        return order
    return replace(order, store=store.url, files=store.put(roots_of(order.folders), job.inputs))


def folders_of(run: Run, runtime: Runtime) -> dict[str, str | None]:
    """The folders of a run and its surroundings, absolute."""
    paths = run.folder, runtime.cache_dir, runtime.weights_dir, run.data_dir, Path()
    return {name: None if path is None else str(path.resolve()) for name, path in zip(NAMES, paths, strict=True)}


def roots_of(folders: Mapping[str, str | None]) -> dict[str, Path]:
    """What the first word of a job's inputs and outputs stands for."""
    return {name.removesuffix("_dir"): Path(path) for name, path in folders.items() if path is not None}


def carry_out(order: Order, display: Display) -> str:
    """Do what is ordered in this process; the answer as JSON."""
    try:
        display.check_stop()
        if order.store is None:
            require_shared(order)
            store = None
        else:
            store = SharedStore(order.store)
            order = in_scratch(order)
            store.get(roots_of(order.folders), order.files or {})
        inputs = inputs_of(order, display)
        with suppress(FileNotFoundError):
            # Paths in a recipe are meant from where the user stands.
            os.chdir(str(order.folders["working_dir"]))
        answer = perform(inputs, inputs.runtime, order.job)
        files = None if store is None else store.put(roots_of(order.folders), order.job.outputs)
        return json.dumps({"answer": answer, "files": files})
    except FusionNetXError as error:
        return json.dumps({"error": [type(error).__name__, str(error)]})
    except OSError as error:
        if no_room(error) is None:
            raise
        remedy = "free some space, and the same command goes on from here"
        said = f"{order.job.title}: {error.filename}: {error.strerror}; {remedy}"
        return json.dumps({"error": ["DataError", said]})
    except Interrupted:
        return json.dumps({"stopped": True})


def result_of(text: str) -> dict[str, Any]:
    """The answer of a worker; its error is raised here."""
    facts: dict[str, Any] = json.loads(text)
    if "error" in facts:
        name, message = facts["error"]
        raise getattr(errors, name)(message)
    return facts


_kept: dict[str, Inputs] = {}
"""The last inputs of this process: the next job mostly has the same ones, with tables and folds."""


def inputs_of(order: Order, display: Display) -> Inputs:
    """The run that an order is about, with what this process has of it in memory already."""
    key = fingerprint([order.recipe, dict(order.folders), order.storage, order.tensorboard, order.mark])
    if key not in _kept:
        _kept.clear()
        folders = roots_of(order.folders)
        runtime = Runtime(
            display=display,
            executor=LocalExecutor(),
            cache_dir=folders["cache"],
            weights_dir=folders["weights"],
            storage=order.storage,
            tensorboard=order.tensorboard,
        )
        recipe = Recipe.model_validate_json(order.recipe)
        _kept[key] = Inputs(Run(recipe, folders["run"], folders.get("data"), order.invented), runtime)
    inputs = _kept[key]
    inputs.runtime = replace(inputs.runtime, display=display)
    return inputs


def require_shared(order: Order) -> None:
    """Refuse to work beside the driver's run folder instead of in it."""
    run_dir = Path(str(order.folders["run_dir"]))
    mark = run_dir / MARK
    if not mark.is_file() or sha256_of(mark) != order.mark:
        raise DataError(
            f"node {os.uname().nodename} does not see the run folder {run_dir}; share it under the same path on all "
            "nodes, or give a store that all can reach with --store (s3://..., gs://..., file://...)"
        )


def in_scratch(order: Order) -> Order:
    """The same order in folders of this machine's own; the name of the run stays, because studies are called by it."""
    own = scratch_dir() / fingerprint(dict(order.folders))[:16]
    run = Path(str(order.folders["run_dir"])).name
    places = {"run_dir": own / "runs" / run, "cache_dir": own / "cache", "weights_dir": own / "weights"}
    places |= {"data_dir": own / "data", "working_dir": own / "work"}
    for path in places.values():
        path.mkdir(parents=True, exist_ok=True)
    folders = {name: None if order.folders[name] is None else str(path) for name, path in places.items()}
    return replace(order, folders=folders)
