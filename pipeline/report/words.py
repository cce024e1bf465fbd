"""What a row of the table and what is held out together are called: lesions of patients, or images of lesions."""

from data.scores.scores import SCORES

UNKNOWN = {"row": "lesion", "rows": "lesions", "group": "group", "groups": "groups"}
"""Where the data are not at hand to say."""


def several(count: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def counted(rows: int, groups: int, words: dict[str, str]) -> str:
    """`300 images of 240 lesions`; the rows alone where each is a group of its own."""
    return f"{rows:,} {words['rows']}" + ("" if words["row"] == words["group"] else f" of {groups:,} {words['groups']}")


def short_title(score: str) -> str:
    """A score's name without its condition: pAUC, AUC."""
    return SCORES[score].title.split(" above ")[0]
