"""What a row of the table and what is held out together are called: lesions of patients, or images of lesions."""

from data.cohort import Task
from data.scores.scores import SCORES

UNKNOWN = {"row": "lesion", "rows": "lesions", "group": "group", "groups": "groups"}
"""Where the data are not at hand to say."""
PICTURES = ("lesion", "image")
"""Groups whose rows are pictures of them, not lesions of a patient."""


def words_of(task: Task) -> dict[str, str]:
    """One and many of both."""
    row, group = "image" if task.group_noun in PICTURES else "lesion", task.group_noun
    return {"row": row, "rows": f"{row}s", "group": group, "groups": f"{group}s"}


def counted(rows: int, groups: int, words: dict[str, str]) -> str:
    """`300 images of 240 lesions`; the rows alone where each is a group of its own."""
    return f"{rows:,} {words['rows']}" + ("" if words["row"] == words["group"] else f" of {groups:,} {words['groups']}")


def short_title(score: str) -> str:
    """A score's name without its condition: pAUC, AUC."""
    return SCORES[score].title.split(" above ")[0]
