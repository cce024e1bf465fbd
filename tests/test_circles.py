"""No module imports itself by way of others: the graph of imports, read from the source, has no circle.

Imports for type checkers alone do not count. Imports inside functions are counted apart: they let a program with a
circle start, and hide it.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "features", "image_models", "tabular", "pipeline", "research", "fusionnetx")

Graph = Mapping[str, frozenset[str]]


def modules() -> dict[str, Path]:
    """Every module of the packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(node: ast.AST, within_functions: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements below a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif for_type_checkers(child):
            continue
        elif within_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(child, within_functions)


def imported(statement: ast.Import | ast.ImportFrom, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules among `known` that one statement imports."""
    if isinstance(statement, ast.Import):
        yield from (name.name for name in statement.names if name.name in known)
        return
    assert statement.level == 0, f"a relative import of {statement.module}"
    for name in statement.names:
        inner = f"{statement.module}.{name.name}"
        if inner in known:
            yield inner
        elif statement.module in known:
            yield str(statement.module)


@cache
def graph(within_functions: bool) -> Graph:
    """For every module, what it imports."""
    known = modules()
    return {
        name: frozenset(
            other
            for statement in imports(ast.parse(path.read_text(encoding="utf-8")), within_functions)
            for other in imported(statement, known)
            if other != name
        )
        for name, path in known.items()
    }


def circle(edges: Graph) -> list[str]:
    """The modules of one circle in order; empty when there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def of_package(edges: Graph, package: str) -> Graph:
    """The imports among the modules of one package."""
    inside = {name for name in edges if name.split(".")[0] == package}
    return {name: edges[name] & inside for name in inside}


CASES = [
    pytest.param(
        package,
        within_functions,
        id=f"{package}, {'also within functions' if within_functions else 'at the top of files'}",
    )
    for package in PACKAGES
    for within_functions in (False, True)
]


@pytest.mark.parametrize(("package", "within_functions"), CASES)
def test_no_module_imports_itself_by_way_of_others(package: str, within_functions: bool) -> None:
    found = circle(of_package(graph(within_functions), package))
    assert not found, " -> ".join(found)


def test_a_circle_is_found_and_named_in_order() -> None:
    edges = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"}), "d": frozenset({"a"})}
    found = circle(edges)
    assert sorted(found[1:]) == ["a", "b", "c"]
    assert all(after in edges[before] for before, after in pairwise(found))


def test_imports_are_read_where_they_stand() -> None:
    source = """
import data.files
from typing import TYPE_CHECKING
from data import folds
if TYPE_CHECKING:
    from data.cohort import Cohort
def late():
    from data.images.pack import ImagePack
"""
    known = modules()
    at_the_top, all_of_them = (
        {name for statement in imports(ast.parse(source), anywhere) for name in imported(statement, known)}
        for anywhere in (False, True)
    )
    assert at_the_top == {"data.files", "data.folds"}
    assert all_of_them == at_the_top | {"data.images.pack"}
