"""Stage two: engineer features, fit every member on every fold, blend the held-out probabilities.

One job is one (member, fold, seed). Encoders are fitted on the training part of each fold and stored as JSON beside
the models, so that new patients can be predicted without any training data.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.files import write_json
from data.matrix import Matrix
from data.predictions import Predictions
from pipeline.execute.files import run_name
from pipeline.execute.job import Job
from pipeline.execute.running import boosters_at_once, run_all
from pipeline.run import Step
from pipeline.scoring import score_columns, shown
from pipeline.seeds import derive
from pipeline.steps.features import encoder_step, image_inputs, shared_fold, stage_two_inputs
from pipeline.steps.intervals import drawn_scores
from pipeline.steps.oof import write_table
from pipeline.steps.tuning import run_tuning, tuned_members
from pipeline.workspace import Workspace
from tabular.blend import blend
from tabular.crossfit import fit_member, predict_member
from tabular.recipe import MemberRecipe

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MemberFold:
    """One job of stage two: a member on a fold, with one seed."""

    space: Workspace
    member: MemberRecipe
    fold: int
    seed: int

    @property
    def folder(self) -> Path:
        """Where it lives."""
        return member_dir(self.space, self.member, self.fold, self.seed)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything of the recipe that decides its result."""
        recipe = self.space.recipe
        return {
            "member": self.member.model_dump(mode="json"),
            "features": recipe.features.model_dump(mode="json"),
            "resample": recipe.tabular.resample.model_dump(mode="json"),
            "image_noise": recipe.tabular.image_noise,
            "nested": recipe.tabular.nested,
            "run_seed": recipe.seed,
        }

    @cached_property
    def step(self) -> Step:
        """The job and everything its result depends on."""
        space = self.space
        return Step(
            name=f"member {self.member.name}, fold {self.fold}, seed {self.seed}",
            folder=self.folder,
            settings=self.settings,
            inputs={
                "train table": space.data.train.fingerprint,
                "folds": space.folds_checksum,
                **(image_inputs(space) if self.member.image_columns else {}),
            },
        )

    def fit(self, train_matrix: Matrix, held_out_matrix: Matrix, groups: npt.NDArray[np.int64]) -> None:
        """Fit on the fold's training part, predict its held-out lesions, report."""
        space, train = self.space, self.space.data.train
        threads = space.recipe.resources.booster_threads
        rows, held_out = space.folds.train_rows(self.fold), space.folds.validation_rows(self.fold)
        self.step.begin()
        fit = fit_member(
            self.member,
            space.recipe.tabular,
            train_matrix,
            train.target[rows],
            groups[rows],
            np.arange(len(rows)),
            seed=derive(space.recipe.seed, self.member.name, self.fold, self.seed),
            folder=self.folder,
            threads=threads,
            classes=len(train.task.classes),
        )
        for note in fit.notes:
            space.note_once(f"{self.member.name}: {note}")
        probability = predict_member(
            self.member, self.folder, held_out_matrix, np.arange(len(held_out)), threads=threads
        )
        columns = train.task.probability_columns
        Predictions(
            lesion_id=train.ids[held_out],
            fold=np.full(len(held_out), self.fold, dtype=np.int64),
            probabilities=probability.reshape(len(held_out), len(columns)),
            columns=columns,
        ).write(self.folder / "predictions.parquet")
        self.step.finish([*fit.artefacts, "predictions.parquet"], fit=fit.as_dict())

    def probabilities(self) -> Floats:
        """What it said of its held-out lesions, one column per class."""
        columns = self.space.data.train.task.probability_columns
        return Predictions.read(self.folder / "predictions.parquet", columns).probabilities


def run_tabular(space: Workspace) -> None:
    """Tune if the recipe asks for it, fit what is missing and write tabular/oof.parquet."""
    run_tuning(space)
    jobs = member_jobs(space)
    todo = [(job, reason) for job in jobs if (reason := job.step.why())]
    for reason in dict.fromkeys(reason for _, reason in todo if reason != "not run yet"):
        space.display.say(f"stage two: {reason}; fitted again")
    done = len(jobs) - len(todo)
    space.display.say(f"stage two: {done} of {len(jobs)} boosters are done" + (f", {len(todo)} to fit" if todo else ""))
    fit_all(space, [job for job, _ in todo])
    join_members(space, jobs)


def member_jobs(space: Workspace) -> list[MemberFold]:
    """One job per fold, member and seed."""
    members = tuned_members(space)
    return [
        MemberFold(space, member, fold, seed)
        for fold in range(space.folds.count)
        for member in members
        for seed in member.seeds
    ]


def member_dir(space: Workspace, member: MemberRecipe, fold: int, seed: int) -> Path:
    """Where one booster lives."""
    return space.run_dir / "tabular" / member.name / f"fold_{fold}" / f"seed_{seed}"


def fit_all(space: Workspace, todo: list[MemberFold]) -> None:
    """Fit encoders and boosters, fold by fold, so that a process has few folds' matrices in memory."""
    # Side by side, a slow one that starts last would leave the other cores waiting.
    slowest_first = sorted(todo, key=lambda job: (job.fold, -job.member.learner.cost))
    jobs: list[Job] = []
    for fold in range(space.folds.count):
        if encoder_step(space, fold).why():
            jobs.append(encoder_job(space, fold))
        jobs += [booster_job(job) for job in slowest_first if job.fold == fold]
    run_all(space, jobs, "stage two: boosters", boosters_at_once(space))
    space.shared.forget("features", "fold")


def encoder_job(space: Workspace, fold: int) -> Job:
    """The fitting of a fold's encoder as a job."""
    return Job(
        work="encoder",
        arguments=(fold,),
        title=f"encoder of fold {fold}",
        cpus=space.recipe.resources.booster_threads,
        inputs=stage_two_inputs(space),
        outputs=(run_name(encoder_step(space, fold).folder, space),),
    )


def booster_job(job: MemberFold) -> Job:
    """A member on a fold, with one seed, as a job."""
    space, member = job.space, job.member
    wants_gpu = member.learner.gpu == "cuda" and member.device != "cpu"
    return Job(
        work="booster",
        arguments=(member.name, job.fold, job.seed),
        title=job.step.name,
        cpus=space.recipe.resources.booster_threads,
        gpus=1.0 if wants_gpu and space.executor.gpus(space) else 0.0,
        inputs=stage_two_inputs(space),
        outputs=(run_name(job.folder, space),),
    )


def fit_booster(space: Workspace, member: str, fold: int, seed: int) -> None:
    """Do a booster job."""
    _, train_matrix, held_out_matrix = shared_fold(space, fold)
    _, codes = np.unique(space.data.train.groups, return_inverse=True)
    found = next(known for known in tuned_members(space) if known.name == member)
    MemberFold(space, found, fold, seed).fit(train_matrix, held_out_matrix, codes.astype(np.int64))


def blend_step(space: Workspace, jobs: list[MemberFold]) -> Step:
    """The blending of the members and everything it depends on."""
    tabular = space.recipe.tabular
    return Step(
        name="blend",
        folder=space.run_dir / "tabular",
        settings={"blend": tabular.blend.model_dump(mode="json"), "members": [m.name for m in tabular.members]},
        inputs={job.step.name: job.step.checksum("predictions.parquet") for job in jobs},
    )


def join_members(space: Workspace, jobs: list[MemberFold]) -> None:
    """Write tabular/oof.parquet with every member's column and the blend, and score them."""
    recipe, train, folds = space.recipe, space.data.train, space.folds
    step = blend_step(space, jobs)
    if step.why() is None:
        return
    step.begin()
    columns = member_columns(space, jobs)
    blended = blend(columns, recipe.tabular.blend, target=train.target, folds=folds.fold, groups=train.groups)
    columns["blend"] = blended.out_of_fold
    write_json(step.folder / "blend.json", blended.to_json())
    write_table(step.folder / "oof.parquet", train.ids, folds.fold, flat(columns, train.task.probability_columns))
    with space.display.task("intervals over patients"):
        drawn = drawn_scores(space, "tabular/oof.parquet", columns)
        scores = score_columns(space, columns, drawn=drawn)
    step.finish(["oof.parquet", "blend.json"], scores=scores)
    for name, figures in scores.items():
        space.display.say(f"cross-validated, {name}: {train.task.score} {shown(figures, train.task.score)}")


def member_columns(space: Workspace, jobs: list[MemberFold]) -> dict[str, Floats]:
    """Out-of-fold probabilities of every member, mean over its seeds, in table order."""
    train, folds = space.data.train, space.folds
    width = len(train.task.probability_columns)
    columns: dict[str, Floats] = {}
    for member in space.recipe.tabular.members:
        column = np.full((len(train.ids), width), np.nan)
        for fold in range(folds.count):
            parts = [job.probabilities() for job in jobs if job.member.name == member.name and job.fold == fold]
            column[folds.validation_rows(fold)] = np.mean(parts, axis=0)
        columns[member.name] = column[:, 0] if width == 1 else column
    return columns


def flat(columns: dict[str, Floats], classes: tuple[str, ...]) -> dict[str, Floats]:
    """One column per model when binary, else `model:class`."""
    plain: dict[str, Floats] = {}
    for name, values in columns.items():
        if values.ndim == 1:
            plain[name] = values
        else:
            plain |= {f"{name}:{label}": values[:, i] for i, label in enumerate(classes)}
    return plain
