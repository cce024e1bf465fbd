"""Quartiles of a synthetic training table beside the published ones: `python -m benchmarks.synthetic_quartiles`.

The published figures are those embedded in `facts.json`; no other file is needed.
"""

import argparse

import polars as pl

from data.synthetic.isic2024.cohort import draw_cohort
from data.synthetic.isic2024.facts import facts
from data.synthetic.isic2024.recipe import SyntheticRecipe

QUARTILES = {"q25": 0.25, "q50": 0.50, "q75": 0.75}


def compare(table: pl.DataFrame) -> pl.DataFrame:
    """One row per numeric column: published and synthetic quartiles, and the largest gap in interquartile ranges."""
    rows = []
    for column, (_, *published, _) in facts()["quartiles"].items():
        drawn = [table[column].cast(pl.Float64).quantile(level, interpolation="linear") for level in QUARTILES.values()]
        gaps = [abs(ours - theirs) for ours, theirs in zip(drawn, published, strict=True) if ours is not None]
        rows.append(
            {"column": column}
            | {f"published_{name}": value for name, value in zip(QUARTILES, published, strict=True)}
            | {f"synthetic_{name}": value for name, value in zip(QUARTILES, drawn, strict=True)}
            | {"gap": max(gaps, default=float("nan")) / (published[2] - published[0])}
        )
    return pl.DataFrame(rows)


def as_markdown(compared: pl.DataFrame) -> str:
    """The comparison as a Markdown table."""
    lines = [
        "| column | published 25 / 50 / 75 % | synthetic 25 / 50 / 75 % | largest gap in IQR |",
        "|---|---|---|---|",
    ]
    for row in compared.iter_rows(named=True):
        groups = [" / ".join(f"{row[f'{side}_{q}']:.4g}" for q in QUARTILES) for side in ("published", "synthetic")]
        lines.append(f"| {row['column']} | {groups[0]} | {groups[1]} | {row['gap']:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table for a cohort of the published size, or of the size given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lesions", type=int, default=401_059)
    train, _ = draw_cohort(SyntheticRecipe(lesions=parser.parse_args().lesions, test_lesions=10))
    print(as_markdown(compare(train.table)), end="")


if __name__ == "__main__":
    main()
