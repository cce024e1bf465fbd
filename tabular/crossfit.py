"""One member on one fold: train on the training rows, keep the models, predict other rows.

The caller walks over members and folds, in any order, and hands over a matrix whose encoders were fitted on that fold's
training part. Which rows and columns a model sees is decided in `training_data`.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import read_json, sha256_of, write_json
from data.matrix import Matrix
from tabular.learners.adapting import usable_device
from tabular.learners.learner import Floats, Learner, Model, Settings
from tabular.recipe import MemberRecipe, TabularRecipe
from tabular.training_data import (
    Ints,
    Part,
    derived,
    effective_parameters,
    gather_part,
    take,
    training_parts,
    view_of,
)

MANIFEST = "models.json"


@dataclass(frozen=True)
class MemberFit:
    """What became of a fit; the models themselves are in its folder."""

    member: str
    booster: str
    device: str
    models: tuple[Mapping[str, Any], ...]
    """File, checksum, trees, rows and positives of each bag's model; their mean predicts."""
    importance: Mapping[str, float]
    """Share of each feature, averaged over the models, largest first; empty where the learner keeps none."""
    notes: tuple[str, ...]
    """What could not be done as asked, in sentences."""
    seconds: float

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Every file of the fit, relative to its folder."""
        return (*(str(model["file"]) for model in self.models), MANIFEST)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class LoadedModels:
    """A fitted member in memory."""

    folder: Path
    features: tuple[str, ...]
    models: tuple[Model, ...]
    """Their mean predicts."""

    def predict(self, matrix: Matrix, rows: npt.ArrayLike, *, threads: int = 1) -> Floats:
        """Probability of some rows: one column, or one per class."""
        place = {name: i for i, name in enumerate(matrix.names)}
        missing = [name for name in self.features if name not in place]
        if missing:
            raise DataError(
                f"the models in {self.folder} need {len(missing)} features that the table lacks "
                f"({', '.join(missing[:5])}); make the features with the recipe and encoders of that run"
            )
        columns = np.array([place[name] for name in self.features], dtype=np.int64)
        values = take(matrix.values, np.asarray(rows, dtype=np.int64), columns)
        parts = [model.predict(values, threads) for model in self.models]
        mean = np.asarray(np.mean(parts, axis=0), dtype=np.float64)
        # A file that is whole may hold leaves that are no numbers; NaN would be taken for a lesion without an image.
        if not ((mean >= 0) & (mean <= 1)).all():
            raise DataError(f"the models in {self.folder} predict what is no probability; train the member again")
        return mean


def fit_member(
    member: MemberRecipe,
    recipe: TabularRecipe,
    matrix: Matrix,
    target: npt.ArrayLike,
    groups: npt.ArrayLike,
    train_rows: npt.ArrayLike,
    *,
    seed: int,
    folder: Path,
    threads: int = 1,
    classes: int | None = None,
    library_seed: int | None = None,
) -> MemberFit:
    """Train one job (member, seed, fold) on `train_rows`; write its models, then a manifest, into `folder`.

    `matrix`, `target` and `groups` are aligned; rows other than `train_rows` are not read. `seed` decides everything
    random: resampling, noise, inner split and the booster's own draws, for which `library_seed` may stand in. With
    `under_bags` there is a model per bag.
    `classes` is found from the training targets unless given.
    """
    started = time.perf_counter()
    labels, rows = np.asarray(target, dtype=np.int64), np.asarray(train_rows, dtype=np.int64)
    count = max(2, int(labels[rows].max(initial=0)) + 1) if classes is None else classes
    view = view_of(member, matrix)
    learner = member.learner
    device, device_note = usable_device(learner, member.device or "cpu")
    parameters, notes = effective_parameters(member, recipe, count)
    parts, part_notes = training_parts(member, recipe, labels, groups, rows, derived(seed, 0))
    notes += [*([device_note] if device_note else []), *part_notes]
    models: list[dict[str, Any]] = []
    shares: list[Floats] = []
    for part in parts:
        draws = derived(seed, 1, part.bag) if library_seed is None else library_seed
        settings = Settings(parameters, member.iterations, count, device, threads, draws)
        rows_of = gather_part(view, matrix, labels, part, recipe, settings, derived(seed, 2, part.bag))
        binned = learner.binned(*rows_of, settings)
        del rows_of
        model = learner.trained(binned, settings, member.early_stopping)
        path = folder / f"{'model' if len(parts) == 1 else f'bag_{part.bag}'}{learner.suffix}"
        model.save(path)
        share = model.importance()
        if share is not None:
            shares.append(share)
            if not share.any():
                notes.append(_no_split(path, part))
        models.append(_entry(path, model, part, labels))
    contents = {"booster": member.booster, "classes": count, "features": view.names, "models": models}
    write_json(folder / MANIFEST, contents)
    return MemberFit(
        member=member.name,
        booster=member.booster,
        device=device,
        models=tuple(models),
        importance=_importance(view.names, shares),
        notes=tuple(dict.fromkeys(notes)),
        seconds=time.perf_counter() - started,
    )


def _importance(names: tuple[str, ...], shares: list[Floats]) -> dict[str, float]:
    """Mean share of each feature, largest first."""
    if not shares:
        return {}
    mean = np.zeros(len(names))
    for share in shares:
        mean += share / len(shares)
    return {names[i]: float(mean[i]) for i in np.argsort(-mean, kind="stable")}


def _entry(path: Path, model: Model, part: Part, labels: Ints) -> dict[str, Any]:
    return {
        "file": path.name,
        "sha256": sha256_of(path),
        "trees": model.trees,
        "rows": len(part.rows),
        "positives": int(np.count_nonzero(labels[part.rows] > 0)),
    }


def _no_split(path: Path, part: Part) -> str:
    return (
        f"{path.name} made no split and predicts one value: {len(part.rows)} training rows are too few for the least "
        "rows or weight per leaf that its parameters ask for; lower them"
    )


def predict_member(
    member: MemberRecipe, folder: Path, matrix: Matrix, rows: npt.ArrayLike, *, threads: int = 1
) -> Floats:
    """Probability that the models in `folder` give some rows: one column, or one per class."""
    return load_models(member, folder).predict(matrix, rows, threads=threads)


def load_models(member: MemberRecipe, folder: Path) -> LoadedModels:
    """A fitted member's models, each compared with its checksum before its library sees it.

    The libraries end the whole process over many damaged files, which no Python code can catch.
    """
    manifest = _manifest(folder)
    if manifest["booster"] != member.booster:
        raise DataError(
            f"{folder} holds {manifest['booster']} models, but member {member.name} is {member.booster}; train it again"
        )
    features = tuple(manifest["features"])
    models = [_load(folder, member.learner, entry, len(features), manifest["classes"]) for entry in manifest["models"]]
    return LoadedModels(folder, features, tuple(models))


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = read_json(folder / MANIFEST)
    except FileNotFoundError as error:
        raise DataError(f"{folder} holds no fitted member ({MANIFEST} is missing); train it first") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{folder / MANIFEST} is damaged; train the member again") from error
    if not _is_manifest(manifest):
        raise DataError(f"{folder / MANIFEST} is not a member's manifest; train the member again")
    return manifest


def _is_manifest(value: Any) -> bool:
    """Whether this is what `fit_member` writes; a model's file lies beside it and nowhere else."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("booster"), str)
        and type(value.get("classes")) is int
        and value["classes"] >= 2
        and _is_list(value.get("features"), str)
        and _is_list(value.get("models"), dict)
        and all(
            isinstance(m.get("sha256"), str) and m.get("file") == Path(str(m.get("file"))).name for m in value["models"]
        )
    )


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, kind) for item in value)


def _load(folder: Path, learner: Learner, entry: Mapping[str, Any], columns: int, classes: int) -> Model:
    path = folder / entry["file"]
    if path.is_file() and sha256_of(path) != entry["sha256"]:
        raise DataError(f"model {path} is damaged (its checksum differs); train the member again")
    return learner.load(path, columns, classes)
