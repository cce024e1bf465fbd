"""Which features the boosters lean on: gain, what is lost when a family is shuffled, and tree SHAP on a sample.

Everything but gain is measured on lesions that the models did not see. Shuffling takes a whole family at once, because
its features stand in for each other: shuffling one of them alone would call each useless.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from data.matrix import Matrix
from data.progress import Progress, silent
from data.scores.intervals import paired_bootstrap
from features.source import Feature
from features.table import FeatureTable
from pipeline.report.curves import rounded
from pipeline.report.finished import FinishedRun, Floats, Ints
from pipeline.report.loaded import LoadedMember, load_members
from pipeline.seeds import derive

MOST_NEGATIVES = 20_000
"""Benign lesions that shuffling is measured on; a sample of them leaves the false positive rate unbiased."""
SAMPLED_POSITIVES = 150
SAMPLED_NEGATIVES = 350
SHOWN_FEATURES = 20
SHOWN_LESIONS = 150
"""Dots in a row of the SHAP plot."""
REPLICATES = 300
MANY_CLASS_REPLICATES = 50
"""A macro average has no fast form; this many tell a loss from none."""


@dataclass(frozen=True)
class Attribution:
    """Mean contribution of every feature over the members, for some lesions, in log-odds."""

    rows: Ints
    names: tuple[str, ...]
    contributions: Floats
    """(lesions, features)."""
    values: Floats
    """What the models saw, aligned to `contributions`."""
    features: dict[str, Feature]
    """The engineered feature behind each column."""

    def of(self, row: int) -> Floats:
        """Contributions to one lesion's log-odds."""
        return np.asarray(self.contributions[int(np.flatnonzero(self.rows == row)[0])], dtype=np.float64)


@dataclass
class Shuffled:
    """Predictions of the sampled lesions, as they are and with each family shuffled."""

    rows: Ints
    plain: dict[str, Floats]
    by_family: dict[str, dict[str, Floats]]


def study_members(
    run: FinishedRun, table: FeatureTable, gallery_rows: Ints, progress: Progress = silent
) -> tuple[dict[str, Any], Attribution]:
    """Every figure of importance, and the attributions of the gallery's lesions."""
    shuffled_rows = sample_for_shuffling(run)
    attributed_rows = np.union1d(sample_for_attribution(run), gallery_rows)
    shuffled = Shuffled(shuffled_rows, {}, {})
    contributions: list[tuple[Ints, dict[str, Floats], Matrix]] = []
    features: dict[str, Feature] = {}
    worst, folds = 0.0, run.space.folds.count
    for fold in range(folds):
        held_out = run.space.folds.validation_rows(fold)
        encoder = run.encoder(fold)
        matrix = encoder.transform(table, held_out)
        features |= dict(zip(matrix.names, (feature for _, feature, _ in encoder.columns()), strict=True))
        members = load_members(run, fold)
        local = np.flatnonzero(np.isin(held_out, shuffled_rows))
        worst = max(worst, shuffle_fold(run, members, matrix, local, held_out[local], shuffled, fold))
        local = np.flatnonzero(np.isin(held_out, attributed_rows))
        if len(local):
            found = mean_contributions(run, members, matrix, local, held_out[local])
            contributions.append((held_out[local], found, subset(matrix, local)))
        progress(fold + 1, folds)
    attribution = join_attributions(contributions, features)
    sampled = np.isin(attribution.rows, sample_for_attribution(run))
    features_shown = feature_figures(run, attribution, sampled)
    figures = {
        "families": family_figures(run, shuffled, attribution),
        "features": features_shown,
        "contribution_range": contribution_range(features_shown),
        "shuffled": counted(run, shuffled_rows),
        "attributed": counted(run, attribution.rows[sampled]),
        "largest_difference_to_stored_predictions": worst,
    }
    return figures, attribution


def counted(run: FinishedRun, rows: Ints) -> dict[str, int | None]:
    """How many lesions, and how many of them malignant where that is the question."""
    return {"lesions": len(rows), "positives": int(run.target[rows].sum()) if run.binary else None}


def sample_for_shuffling(run: FinishedRun) -> Ints:
    """All malignant lesions and up to MOST_NEGATIVES benign ones."""
    return sample(run, len(run.target), MOST_NEGATIVES, "shuffling")


def sample_for_attribution(run: FinishedRun) -> Ints:
    """A few hundred lesions, rich in malignant ones."""
    return sample(run, SAMPLED_POSITIVES, SAMPLED_NEGATIVES, "attribution")


def sample(run: FinishedRun, most_positives: int, most_negatives: int, purpose: str) -> Ints:
    """Rows drawn without replacement from each class (the first, by convention the most frequent, is the negative)."""
    rng = np.random.default_rng(derive(run.seed, "report", purpose))
    chosen = []
    for value in reversed(range(len(run.task.classes))):
        most = most_positives if value else most_negatives
        rows = run.known_rows[run.target[run.known_rows] == value]
        chosen.append(rng.choice(rows, min(most, len(rows)), replace=False))
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def subset(matrix: Matrix, rows: Ints) -> Matrix:
    """Some rows of a matrix."""
    return Matrix(matrix.values[rows], matrix.names, matrix.families, matrix.categorical, matrix.image)


def shuffle_fold(
    run: FinishedRun,
    members: Sequence[LoadedMember],
    matrix: Matrix,
    local: Ints,
    rows: Ints,
    shuffled: Shuffled,
    fold: int,
) -> float:
    """Predict a fold's lesions, each family shuffled; returns how far the unshuffled are from the stored."""
    place = np.searchsorted(shuffled.rows, rows)
    part, everyone, threads = subset(matrix, local), np.arange(len(local)), run.space.threads
    families = np.array(part.families)
    worst = 0.0
    for member in members:
        plain = member.predict(part, everyone, threads)
        worst = max(worst, float(np.abs(plain - run.member_columns[member.name][rows]).max()))
        store(shuffled.plain, member.name, place, plain, len(shuffled.rows))
    for family in dict.fromkeys(part.families):
        columns = np.flatnonzero(families == family)
        order = np.random.default_rng(derive(run.seed, "shuffle", family, fold)).permutation(len(local))
        values = part.values.copy()
        values[:, columns] = part.values[np.ix_(order, columns)]
        other = Matrix(values, part.names, part.families, part.categorical, part.image)
        for member in members:
            touched = set(member.features) & {part.names[i] for i in columns}
            probability = member.predict(other, everyone, threads) if touched else shuffled.plain[member.name][place]
            into = shuffled.by_family.setdefault(family, {})
            store(into, member.name, place, probability, len(shuffled.rows))
    return worst


def store(into: dict[str, Floats], name: str, place: Ints, values: Floats, length: int) -> None:
    """Put one fold's values into a column of all folds."""
    into.setdefault(name, np.full((length, *values.shape[1:]), np.nan))[place] = values


def mean_contributions(
    run: FinishedRun, members: Sequence[LoadedMember], matrix: Matrix, local: Ints, rows: Ints
) -> dict[str, Floats]:
    """Contribution of each feature, averaged over the members; one that a member does not have counts as none."""
    total: dict[str, Floats] = {}
    for member in members:
        found = member.contributions(matrix, local, run.called(rows), run.space.threads)
        for i, name in enumerate(member.features):
            total[name] = total.get(name, np.zeros(len(rows))) + found[:, i] / len(members)
    return total


def join_attributions(parts: list[tuple[Ints, dict[str, Floats], Matrix]], features: dict[str, Feature]) -> Attribution:
    """The folds' parts in one table; a one-hot column that a fold lacks counts as zero there."""
    names = tuple(dict.fromkeys(name for _, found, _ in parts for name in found))
    blocks, values = [], []
    for rows, found, matrix in parts:
        place = {name: i for i, name in enumerate(matrix.names)}
        zero, unknown = np.zeros(len(rows)), np.full(len(rows), np.nan)
        blocks.append(np.column_stack([found.get(name, zero) for name in names]))
        values.append(np.column_stack([matrix.values[:, place[name]] if name in place else unknown for name in names]))
    rows = np.concatenate([rows for rows, _, _ in parts])
    order = np.argsort(rows)
    return Attribution(
        rows[order], names, np.concatenate(blocks)[order], np.concatenate(values).astype(np.float64)[order], features
    )


def family_figures(run: FinishedRun, shuffled: Shuffled, attribution: Attribution) -> list[dict[str, Any]]:
    """Per family: features, gain by member, mean absolute contribution, and what the blend loses without it."""
    target, groups = run.target[shuffled.rows], run.groups[shuffled.rows]
    plain = run.blend_state.apply(shuffled.plain)
    family_of = {name: feature.family for name, feature in attribution.features.items()}
    gains = {name: family_gain(run, name, family_of) for name in run.member_columns}
    rows = []
    for family, columns in shuffled.by_family.items():
        loss = paired_bootstrap(
            target, plain, run.blend_state.apply(columns), groups, score=run.task.score,
            replicates=REPLICATES if run.binary else MANY_CLASS_REPLICATES, seed=run.seed,
        )  # fmt: skip
        inside = [i for i, name in enumerate(attribution.names) if family_of[name] == family]
        together = np.abs(attribution.contributions[:, inside].sum(axis=1))
        rows.append(
            {
                "family": family,
                "columns": sum(one == family for one in family_of.values()),
                "gain": {name: gain.get(family, 0.0) for name, gain in gains.items()},
                "loss": {"estimate": loss.estimate, "low": loss.low, "high": loss.high},
                "mean_absolute_contribution": float(together.mean()) if len(together) else 0.0,
            }
        )
    return sorted(rows, key=lambda row: -row["loss"]["estimate"])


def contribution_range(features: list[dict[str, Any]]) -> dict[str, float]:
    """The scale that the dots of all features share."""
    every = [value for one in features for value in one["contributions"]]
    return {"low": min([0.0, *every]), "high": max([0.0, *every])}


def mean_gain(run: FinishedRun, member: str) -> dict[str, float]:
    """Share of each feature in a member's gain, mean over folds and seeds."""
    reports = [run.report_of(*job.folder.relative_to(run.space.run_dir).parts, "report.json")
               for job in run.member_jobs if job.member.name == member]  # fmt: skip
    total: dict[str, float] = {}
    for report in reports:
        for name, share in report["fit"]["importance"].items():
            total[name] = total.get(name, 0.0) + share / len(reports)
    return total


def family_gain(run: FinishedRun, member: str, family_of: dict[str, str]) -> dict[str, float]:
    """The same by family."""
    total: dict[str, float] = {}
    for name, share in mean_gain(run, member).items():
        total[family_of[name]] = total.get(family_of[name], 0.0) + share
    return total


def feature_figures(run: FinishedRun, attribution: Attribution, sampled: Any) -> list[dict[str, Any]]:
    """The features that push most, with the dots of their SHAP plot: contribution against rank of the value."""
    strength = np.abs(attribution.contributions[sampled]).mean(axis=0)
    gains = [mean_gain(run, member) for member in run.member_columns]
    lesions = np.flatnonzero(sampled)
    rng = np.random.default_rng(derive(run.seed, "report", "dots"))
    dots = np.sort(rng.choice(lesions, min(SHOWN_LESIONS, len(lesions)), replace=False))
    result = []
    for i in np.argsort(-strength, kind="stable")[:SHOWN_FEATURES]:
        name = attribution.names[i]
        feature = attribution.features[name]
        values = attribution.values[dots, i]
        ranks = (rankdata(np.nan_to_num(values)) - 1) / max(len(values) - 1, 1)
        result.append(
            {
                "feature": name,
                "family": feature.family,
                "meaning": feature.formula,
                "unit": feature.unit,
                "mean_absolute_contribution": float(strength[i]),
                "gain": float(np.mean([gain.get(name, 0.0) for gain in gains])),
                "contributions": rounded(attribution.contributions[dots, i], 3),
                "value_ranks": rounded(ranks, 3),
            }
        )
    return result
