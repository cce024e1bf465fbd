"""No module of image_models imports itself by way of others; imports inside functions count."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in (ROOT / "image_models").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of the package that a file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names & known.keys()


def test_there_are_no_circles():
    known = modules()
    left = {name: imported(path, known) - {name} for name, path in known.items()}
    while free := {name for name, needs in left.items() if not needs & left.keys()}:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert left == {}


def test_networks_know_nothing_of_training():
    known = modules()
    for name, path in known.items():
        if name.startswith(("image_models.networks", "image_models.keys")):
            assert not [needed for needed in imported(path, known) if needed.startswith("image_models.training")], name


def test_files_are_short():
    assert [name for name, path in modules().items() if len(path.read_text().splitlines()) > 300] == []
