"""What was probably meant: the nearest column, value or file, for messages."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

MAX_FILES = 2000


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """`; did you mean 'x'?` or nothing; capitals do not count."""
    lower = {other.lower(): other for other in known}
    match = get_close_matches(word[:100].lower(), list(lower), n=1, cutoff=likeness)
    return f"; did you mean {lower[match[0]]!r}?" if match else ""


def with_files_beside(path: Path) -> str:
    """The same for a file or a folder that is not there, among those beside it; a zip file of that name is named."""
    try:
        beside = [other.name for _, other in zip(range(MAX_FILES), path.parent.iterdir(), strict=False)]
    except OSError:
        return ""
    packed = next((name for name in beside if name.lower() == f"{path.name.lower()}.zip"), None)
    if packed:
        return f"; {packed} is beside it: unpack it first (python -m zipfile -e {packed} {path.name})"
    return did_you_mean(path.name, beside)
