"""Which patients the list shows, in which order, and what it says of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import polars as pl

from pipeline.page.view import View

PER_PAGE = 60
SORTS = {
    "suspicion": ("most suspicious first", ["best"], [True]),
    "above": ("most above the threshold first", ["above", "best"], [True, True]),
    "lesions": ("most lesions first", ["lesions", "best"], [True, True]),
    "age": ("oldest first", ["age", "best"], [True, True]),
    "name": ("by name", ["name"], [False]),
}
FLAGS = ("above", "uncertain", "missing")
MOST_TEXT = 300


@dataclass(frozen=True)
class Choice:
    """What was asked of the list; what makes no sense is left out."""

    search: str = ""
    site: str = ""
    institution: str = ""
    youngest: float | None = None
    oldest: float | None = None
    flags: frozenset[str] = frozenset()
    sort: str = "suspicion"
    level: int = 0
    page: int = 1

    @staticmethod
    def of(query: Mapping[str, str], view: View) -> "Choice":
        """From the words of an address."""
        level = number(query.get("level"), float(view.usual_level))
        sort = query.get("sort", "")
        return Choice(
            search=query.get("search", "").strip()[:MOST_TEXT],
            site=query.get("site", "")[:MOST_TEXT],
            institution=query.get("institution", "")[:MOST_TEXT],
            youngest=number(query.get("youngest")),
            oldest=number(query.get("oldest")),
            flags=frozenset(name for name in FLAGS if query.get(name)),
            sort=sort if sort in SORTS else "suspicion",
            level=max(0, min(int(level or 0), len(view.levels) - 1)),
            page=max(1, int(number(query.get("page"), 1.0) or 1)),
        )

    def address(self, page: int) -> str:
        """The same choice, another page of it."""
        words: dict[str, Any] = {
            "search": self.search,
            "site": self.site,
            "institution": self.institution,
            "youngest": self.youngest,
            "oldest": self.oldest,
            "sort": self.sort,
            "level": self.level,
            "page": page,
            **dict.fromkeys(sorted(self.flags), "1"),
        }
        return "?" + urlencode({name: value for name, value in words.items() if value not in ("", None)})


def number(text: str | None, otherwise: float | None = None) -> float | None:
    """A number from an address, of at most nine digits."""
    try:
        value = float(text) if text else None
    except ValueError:
        return otherwise
    return value if value is not None and abs(value) < 1e9 else otherwise


def chosen_patients(view: View, choice: Choice) -> tuple[pl.DataFrame, int, int]:
    """The page of patients that was asked for, how many there are on all pages, and how many lesions they have."""
    frame = view.lesions.lazy()
    if choice.search:
        word = choice.search.lower()
        hits = pl.any_horizontal(
            pl.col(name).str.to_lowercase().str.contains(word, literal=True) for name in ("name", "lesion")
        )
        frame = frame.filter(hits.any().over("patient"))
    for name in ("site", "institution"):
        if (wanted := getattr(choice, name)) and name in view.lesions.columns:
            frame = frame.filter(pl.col(name).cast(pl.String) == wanted)
    if "age" in view.lesions.columns:
        if choice.youngest is not None:
            frame = frame.filter(pl.col("age") >= choice.youngest)
        if choice.oldest is not None:
            frame = frame.filter(pl.col("age") <= choice.oldest)
    for flag in choice.flags & {"uncertain", "missing"}:
        frame = frame.filter(pl.col(flag))
    threshold = view.levels[choice.level]["score"] if view.levels else 2.0
    found = frame.group_by("patient").agg(
        pl.col("name").first(),
        lesions=pl.len(),
        best=pl.col("score").max(),
        top=pl.col("row").get(pl.col("score").fill_null(-1.0).arg_max()),
        above=(pl.col("score") >= threshold).sum(),
        uncertain=pl.col("uncertain").sum(),
        missing=pl.col("missing").sum(),
        **{name: pl.col(name).first() for name in ("age", "institution") if name in view.lesions.columns},
    )
    if "above" in choice.flags:
        found = found.filter(pl.col("above") > 0)
    _, keys, down = SORTS[choice.sort if choice.sort != "age" or "age" in view.lesions.columns else "suspicion"]
    # The patient's number settles ties, so that pages never overlap.
    every = found.sort([*keys, "patient"], descending=[*down, False], nulls_last=True).collect()
    first = (choice.page - 1) * PER_PAGE
    return every[first : first + PER_PAGE], len(every), int(every["lesions"].sum())


def offered(view: View) -> dict[str, list[str]]:
    """Sites and institutions to choose from."""
    return {
        name: sorted(view.lesions[name].cast(pl.String).drop_nulls().unique().to_list())[:MOST_TEXT]
        for name in ("site", "institution")
        if name in view.lesions.columns
    }
