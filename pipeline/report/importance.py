"""Which features the boosters lean on: gain, what is lost when a family is shuffled, and tree SHAP on a sample.

Everything but gain is measured on lesions that the models did not see. Shuffling takes a whole family at once, because
its features stand in for each other: shuffling one of them alone would call each useless.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from data.matrix import Matrix
from data.progress import Progress, silent
from features.source import Feature
from features.table import FeatureTable
from pipeline.plan import Plan
from pipeline.report.attribution import Attribution, attributed, contribution_range, feature_figures, joined
from pipeline.report.finished import FinishedRun, Floats, Ints
from pipeline.report.leads import lead
from pipeline.report.loaded import LoadedMember, load_members
from pipeline.seeds import derive

MOST_NEGATIVES = 20_000
"""Benign lesions that shuffling is measured on; a sample of them leaves the false positive rate unbiased."""
SAMPLED_POSITIVES = 150
SAMPLED_NEGATIVES = 350
REPLICATES = 300
MANY_CLASS_REPLICATES = 50
"""A macro average has no fast form; this many tell a loss from none."""

Gains = dict[str, dict[str, float] | None]
"""Share of each feature in a member's gain; None of a member that keeps none."""


@dataclass
class Shuffled:
    """Predictions of the sampled lesions, as they are and with each family shuffled."""

    rows: Ints
    plain: dict[str, Floats] = field(default_factory=dict)
    by_family: dict[str, dict[str, Floats]] = field(default_factory=dict)


def study_members(
    finished: FinishedRun, table: FeatureTable, gallery_rows: Ints, progress: Progress = silent
) -> tuple[dict[str, Any], Attribution]:
    """Every figure of importance, and the attributions of the gallery's lesions."""
    # All malignant lesions, and for SHAP a few hundred that are rich in malignant ones.
    shuffled = Shuffled(sample(finished, len(finished.target), MOST_NEGATIVES, "shuffling"))
    sampled_rows = sample(finished, SAMPLED_POSITIVES, SAMPLED_NEGATIVES, "attribution")
    attributed_rows = np.union1d(sampled_rows, gallery_rows)
    parts, features = [], dict[str, Feature]()
    worst, stage_two, threads = 0.0, finished.plan.stage_two, finished.runtime.threads
    for fold in range(stage_two.folds):
        held_out, encoder = finished.inputs.folds.validation_rows(fold), stage_two.encoder(fold)
        matrix = encoder.transform(table, held_out)
        features |= dict(zip(matrix.names, (feature for _, feature, _ in encoder.columns()), strict=True))
        members = load_members(stage_two.of_fold(fold))
        local = np.flatnonzero(np.isin(held_out, shuffled.rows))
        worst = max(worst, shuffle_fold(finished, members, matrix, local, held_out[local], shuffled, fold))
        local = np.flatnonzero(np.isin(held_out, attributed_rows))
        if len(local):
            rows = held_out[local]
            parts.append(attributed(members, matrix, local, rows, finished.called(rows), threads))
        progress(fold + 1, stage_two.folds)
    attribution = joined(parts, features)
    sampled = np.isin(attribution.rows, sampled_rows)
    gains = {name: mean_gain(finished.plan, name) for name in finished.member_columns}
    rng = np.random.default_rng(derive(finished.seed, "report", "dots"))
    features_shown = feature_figures(attribution, sampled, [gain for gain in gains.values() if gain is not None], rng)
    figures = {
        "families": family_figures(finished, shuffled, attribution, gains),
        "features": features_shown,
        "contribution_range": contribution_range(features_shown),
        "shuffled": counted(finished, shuffled.rows),
        "attributed": counted(finished, attribution.rows[sampled]),
        "largest_difference_to_stored_predictions": worst,
        "without_shap": [name for name in gains if not any(name in part.members for part in parts)],
        "without_gain": [name for name, gain in gains.items() if gain is None],
    }
    return figures, attribution


def counted(finished: FinishedRun, rows: Ints) -> dict[str, int | None]:
    """How many lesions, and how many of them malignant where that is the question."""
    return {"lesions": len(rows), "positives": int(finished.target[rows].sum()) if finished.binary else None}


def sample(finished: FinishedRun, most_positives: int, most_negatives: int, purpose: str) -> Ints:
    """Rows drawn without replacement from each class (the first, by convention the most frequent, is the negative)."""
    rng = np.random.default_rng(derive(finished.seed, "report", purpose))
    chosen = []
    for value in reversed(range(len(finished.task.classes))):
        most = most_positives if value else most_negatives
        rows = finished.known_rows[finished.target[finished.known_rows] == value]
        chosen.append(rng.choice(rows, min(most, len(rows)), replace=False))
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def shuffle_fold(
    finished: FinishedRun,
    members: Sequence[LoadedMember],
    matrix: Matrix,
    local: Ints,
    rows: Ints,
    shuffled: Shuffled,
    fold: int,
) -> float:
    """Predict a fold's lesions, each family shuffled; returns how far the unshuffled are from the stored."""
    place = np.searchsorted(shuffled.rows, rows)
    part, everyone, threads = matrix.take(local), np.arange(len(local)), finished.runtime.threads
    families = np.array(part.families)
    worst = 0.0
    for member in members:
        plain = member.predict(part, everyone, threads)
        worst = max(worst, float(np.abs(plain - finished.member_columns[member.name][rows]).max()))
        store(shuffled.plain, member.name, place, plain, len(shuffled.rows))
    for family in dict.fromkeys(part.families):
        columns = np.flatnonzero(families == family)
        order = np.random.default_rng(derive(finished.seed, "shuffle", family, fold)).permutation(len(local))
        values = part.values.copy()
        values[:, columns] = part.values[np.ix_(order, columns)]
        other = replace(part, values=values)
        for member in members:
            touched = set(member.features) & {part.names[i] for i in columns}
            probability = member.predict(other, everyone, threads) if touched else shuffled.plain[member.name][place]
            into = shuffled.by_family.setdefault(family, {})
            store(into, member.name, place, probability, len(shuffled.rows))
    return worst


def store(into: dict[str, Floats], name: str, place: Ints, values: Floats, length: int) -> None:
    """Put one fold's values into a column of all folds."""
    into.setdefault(name, np.full((length, *values.shape[1:]), np.nan))[place] = values


def family_figures(
    finished: FinishedRun, shuffled: Shuffled, attribution: Attribution, gains: Gains
) -> list[dict[str, Any]]:
    """Per family: features, gain by member, mean absolute contribution, and what the blend loses without it."""
    target, groups = finished.target[shuffled.rows], finished.groups[shuffled.rows]
    replicates = REPLICATES if finished.binary else MANY_CLASS_REPLICATES
    state = finished.plan.stage_two.blend_state()
    plain = state.apply(shuffled.plain)
    rows = []
    for family, columns in shuffled.by_family.items():
        inside = {name for name, feature in attribution.features.items() if feature.family == family}
        without = state.apply(columns)
        rows.append(
            {
                "family": family,
                "columns": len(inside),
                "gain": {
                    member: None if gain is None else sum(share for name, share in gain.items() if name in inside)
                    for member, gain in gains.items()
                },
                "loss": lead(target, plain, without, groups, finished.task.score, finished.seed, replicates),
                "mean_absolute_contribution": attribution.of_family(family) if attribution.names else None,
            }
        )
    return sorted(rows, key=lambda row: -row["loss"]["estimate"])


def mean_gain(plan: Plan, member: str) -> dict[str, float] | None:
    """Share of each feature in a member's gain, mean over folds and seeds; None of one that keeps none."""
    fits = [(step.report() or {}).get("fit") for step in plan.of("booster") if step.key[0] == member]
    # A report whose checksum was forged may lack anything.
    shares = [fit.get("importance") if isinstance(fit, dict) else None for fit in fits]
    total: dict[str, float] = {}
    for of_fit in shares:
        if not of_fit:
            return None
        for name, share in of_fit.items():
            total[name] = total.get(name, 0.0) + share / len(fits)
    return total
