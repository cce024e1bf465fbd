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
from pipeline.execute.job import Job
from pipeline.execute.shared_store import Files, SharedStore, scratch_dir
from pipeline.execute.work import perform
from pipeline.recipe import Recipe
from pipeline.workspace import Workspace

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


def order_for(space: Workspace, job: Job, store: SharedStore | None = None) -> Order:
    """The order of a job; with a store, its inputs are put there first."""
    order = Order(
        job=job,
        recipe=space.recipe.model_dump_json(),
        folders=folders_of(space),
        storage=space.storage,
        tensorboard=space.tensorboard,
        mark=sha256_of(space.run_dir / MARK),
    )
    if store is None:
        return order
    return replace(order, store=store.url, files=store.put(roots_of(order.folders), job.inputs))


def folders_of(space: Workspace) -> dict[str, str | None]:
    """The folders of a workspace, absolute."""
    paths = space.run_dir, space.cache_dir, space.weights_dir, space.data_dir, Path()
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
            space, store = workspace_of(order), None
        else:
            store = SharedStore(order.store)
            order = in_scratch(order)
            store.get(roots_of(order.folders), order.files or {})
            space = workspace_of(order)
        space.display = display
        with suppress(FileNotFoundError):
            # Paths in a recipe are meant from where the user stands.
            os.chdir(str(order.folders["working_dir"]))
        answer = perform(space, order.job)
        files = None if store is None else store.put(roots_of(order.folders), order.job.outputs)
        return json.dumps({"answer": answer, "files": files})
    except FusionNetXError as error:
        return json.dumps({"error": [type(error).__name__, str(error)]})
    except OSError as error:
        if no_room(error) is None:
            raise
        return json.dumps({"error": ["DataError", f"{order.job.title}: {error.filename}: {error.strerror}"]})
    except Interrupted:
        return json.dumps({"stopped": True})


def result_of(text: str) -> dict[str, Any]:
    """The answer of a worker; its error is raised here."""
    facts: dict[str, Any] = json.loads(text)
    if "error" in facts:
        name, message = facts["error"]
        raise getattr(errors, name)(message)
    return facts


_kept: dict[str, Workspace] = {}
"""The last workspace of this process: the next job mostly has the same one, with its tables and folds."""


def workspace_of(order: Order) -> Workspace:
    """The workspace that an order is about."""
    key = fingerprint([order.recipe, dict(order.folders), order.storage, order.tensorboard])
    if key not in _kept:
        _kept.clear()
        folders = roots_of(order.folders)
        _kept[key] = Workspace(
            recipe=Recipe.model_validate_json(order.recipe),
            run_dir=folders["run"],
            cache_dir=folders["cache"],
            weights_dir=folders["weights"],
            display=Display(),
            data_dir=folders.get("data"),
            storage=order.storage,
            tensorboard=order.tensorboard,
            obeys_folds=True,
        )
    return _kept[key]


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
