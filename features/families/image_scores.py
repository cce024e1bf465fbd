"""Features of image-model probabilities: out of fold for training lesions, means of the fold models for test lesions.

Nothing here knows where a probability came from; that a training lesion's value is out of fold is the business of
whoever gives the table. A lesion without an image has a missing score, which stays missing and moves nobody else's rank
or mean.
"""

import polars as pl

from features.columns import AGE, SITE
from features.families.family import COMPACT, EVERY, Settings, family
from features.source import PATIENT, Feature, Made, Source, ratio

CLIP = 1e-6
"""Probabilities this near to 0 or 1 are taken as equal, so that a logit is finite."""


def logit(name: str) -> pl.Expr:
    """log(p / (1 - p))."""
    p = pl.col(name).clip(CLIP, 1 - CLIP)
    return (p / (1 - p)).log()


@family(place=160, sets=EVERY)
def image_logit(source: Source, settings: Settings) -> list[Made]:
    """Logit of each image model's probability."""
    return [
        Made(
            Feature(f"{name}_logit", "image_logit", f"log(p / (1 - p)), p of {name}", "logit", image=True), logit(name)
        )
        for name in source.image_scores
    ]


@family(place=170, sets=COMPACT, looks_at="patient")
def image_ratio(source: Source, settings: Settings) -> list[Made]:
    """Probability over the mean probability of the patient's lesions; 1 for a single lesion."""
    return [
        Made(
            Feature(f"{name}_ratio", "image_ratio", f"p / mean p by patient, p of {name}", "1", image=True),
            ratio(pl.col(name), pl.col(name).mean().over(PATIENT)),
        )
        for name in source.image_scores
    ]


@family(place=175, sets=(), looks_at="patient")
def image_together(source: Source, settings: Settings) -> list[Made]:
    """Mean and highest logit among the group's images: for groups that are lesions seen on several images."""
    ways = {"mean": pl.Expr.mean, "highest": pl.Expr.max}
    return [
        Made(
            Feature(f"{name}_{way}", "image_together", f"{way} logit p by group, p of {name}", "logit", image=True),
            of_group(logit(name)).over(PATIENT),
        )
        for name in source.image_scores
        for way, of_group in ways.items()
    ]


@family(place=180, sets=COMPACT, looks_at="patient")
def image_rank(source: Source, settings: Settings) -> list[Made]:
    """Share of the patient's lesions with a lower probability, ties counted half."""
    return [
        Made(
            Feature(
                f"{name}_rank",
                "image_rank",
                f"(rank of p in patient - 0.5) / lesions, p of {name}",
                "share",
                image=True,
            ),
            (pl.col(name).rank("average").over(PATIENT) - 0.5) / pl.col(name).count().over(PATIENT),
        )
        for name in source.image_scores
    ]


@family(place=190, sets=(), looks_at="table")
def image_site_age_z(source: Source, settings: Settings) -> list[Made]:
    """z-score of the logit among all lesions of the table at the same site and age: looks at other patients."""
    if not source.has(AGE, SITE):
        return []
    key = [SITE, AGE]
    return [
        Made(
            Feature(
                f"{name}_site_age_z",
                "image_site_age_z",
                f"(logit p - mean) / (sd + {settings.epsilon:g}) by site and age over the table, p of {name}",
                "sd",
                image=True,
            ),
            (logit(name) - logit(name).mean().over(key))
            / (logit(name).std().over(key).fill_null(0.0) + settings.epsilon),
        )
        for name in source.image_scores
    ]
