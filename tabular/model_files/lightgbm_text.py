"""LightGBM's text, line by line as LightGBM itself writes it; whatever else it would read is refused.

Covered: the header's counts against the expected columns and classes, the length of every array of every tree, every
index into them (columns, children, categories), and that trees are trees. Not covered: whether the numbers in the
leaves are those of the training, which is what the checksum in the member's manifest says. A LightGBM that writes other
lines than version 4 is refused until they are known here; a test trains every kind of model and reads it.
"""

import re
from collections.abc import Iterable
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from data.errors import DataError
from tabular.model_files.trees import Ints, are_trees, within

END = b"end of trees\n\nfeature_importances:\n"
LAST = b"\nend of parameters\n\npandas_categorical:null\n"
PARAMETERS = re.compile(rb"(?:\[[a-z0-9_]+: [^\n\[\]]*\]\n)*")
IMPORTANCES = re.compile(rb"(?:[^\n=]+=\d{1,20}\n)*")
INTEGERS = b"0123456789- "
"""What whole numbers are written with."""
FINITE = rb"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?"
NUMBERS = re.compile(rb"(?:%b|-?inf|-?nan)(?: (?:%b|-?inf|-?nan))*+" % (FINITE, FINITE))
FINITE_NUMBERS = re.compile(rb"%b(?: %b)*+" % (FINITE, FINITE))
"""LightGBM ends the process over a word that is none of these; a leaf that is no number makes its answers none."""

HEADER = frozenset(
    {b"version", b"num_class", b"num_tree_per_iteration", b"label_index", b"max_feature_idx", b"objective",
     b"feature_names", b"feature_infos", b"tree_sizes"}
)  # fmt: skip
SINGLE = (b"num_leaves", b"num_cat", b"is_linear")
SPLIT_INTEGERS = (b"split_feature", b"decision_type", b"left_child", b"right_child", b"internal_count")
SPLIT_NUMBERS = (b"split_gain", b"threshold", b"internal_value", b"internal_weight")
LINEAR = (b"leaf_const", b"num_features", b"leaf_features", b"leaf_coeff")
IN_LEAVES = (b"leaf_value", b"leaf_const", b"leaf_coeff", b"shrinkage")
"""What answers are added up from."""
TREE = frozenset(
    {*SINGLE, *SPLIT_INTEGERS, *SPLIT_NUMBERS, *LINEAR, b"shrinkage", b"leaf_value", b"leaf_weight", b"leaf_count",
     b"cat_boundaries", b"cat_threshold"}
)  # fmt: skip

Block = dict[bytes, bytes]
"""The lines of a tree."""


def check(text: bytes, path: Path, columns: int, classes: int) -> None:
    """Refuse a text that is not a whole model of so many columns and classes."""
    try:
        check_trees(blocks(text, columns, classes), columns)
    except (KeyError, ValueError, OverflowError) as error:
        what = f"{error.args[0].decode('latin-1')} is missing" if isinstance(error, KeyError) else str(error)[:100]
        raise DataError(
            f"{path} is not a whole LightGBM model of {columns} columns and {classes} classes: {what}; train the "
            "member again"
        ) from error


def blocks(text: bytes, columns: int, classes: int) -> list[Block]:
    """The trees of a text whose header is as expected, and which has nothing beside them that it should not have."""
    head, first, _ = text.partition(b"\n\nTree=0\n")
    end = text.find(END)
    if not first or end < 0 or b"\r" in text or b"\0" in text:
        raise ValueError("its beginning or its end is missing")
    importances, _, parameters = text[end + len(END) :].partition(b"\nparameters:\n")
    if not (
        parameters.endswith(LAST)
        and IMPORTANCES.fullmatch(importances)
        and PARAMETERS.fullmatch(parameters[: -len(LAST)])
    ):
        raise ValueError("its parameters are not whole")
    sizes = tree_sizes(head.split(b"\n"), columns, classes)
    borders = list(accumulate(sizes, initial=len(head) + 2))
    if borders[-1] != end:
        raise ValueError("its trees have another size than its header says")
    found = []
    for number, (start, stop) in enumerate(pairwise(borders)):
        title, _, body = text[start:stop].partition(b"\n")
        lines = body.removesuffix(b"\n\n\n")
        if title != b"Tree=%d" % number or len(body) - len(lines) != 3:
            raise ValueError(f"tree {number} is not where it should be")
        found.append(keyed(lines.split(b"\n"), TREE))
    return found


def tree_sizes(lines: list[bytes], columns: int, classes: int) -> list[int]:
    """Bytes of each tree, from a header whose counts and objective are the expected ones."""
    if lines[0] != b"tree":
        raise ValueError("it begins as something else")
    header = keyed([line for line in lines[1:] if line != b"average_output"], HEADER)
    per_round = 1 if classes == 2 else classes
    for key, wanted in (
        (b"num_class", b"%d" % per_round),
        (b"num_tree_per_iteration", b"%d" % per_round),
        (b"label_index", b"0"),
        (b"max_feature_idx", b"%d" % (columns - 1)),
        (b"objective", b"binary sigmoid:1" if classes == 2 else b"multiclass num_class:%d" % classes),
    ):
        if header[key] != wanted:
            raise ValueError(f"{key.decode()} is {header[key][:40].decode('latin-1')} instead of {wanted.decode()}")
    for key in (b"feature_names", b"feature_infos"):
        words = header[key].split(b" ")
        if len(words) != columns or b"" in words:
            raise ValueError(f"{key.decode()} are not those of {columns} columns")
    sizes: list[int] = integers([header[b"tree_sizes"]]).tolist()
    if len(sizes) % per_round or min(sizes) <= 0:
        raise ValueError(f"its {len(sizes)} trees make no whole rounds of {per_round}")
    return sizes


def keyed(lines: list[bytes], known: frozenset[bytes]) -> Block:
    """Lines `key=value` of known keys, each once."""
    pairs = [line.split(b"=") for line in lines]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("a line is neither a key nor its value")
    found: Block = dict(pairs)
    if len(found) != len(pairs) or not found.keys() <= known:
        raise ValueError("a key is not known or there twice")
    return found


def check_trees(trees: list[Block], columns: int) -> None:
    """Arrays as long as the number of leaves says, indices within what they point into."""
    leaves, categories, linear = (integers(tree[key] for tree in trees) for key in SINGLE)
    if not len(leaves) == len(categories) == len(linear) == len(trees) or leaves.min() < 1:
        raise ValueError("a tree has no leaf")
    if categories.min() < 0 or not np.isin(linear, (0, 1)).all() or categories[leaves == 1].any():
        raise ValueError("a tree is of another kind")
    numbers(trees, b"shrinkage", np.ones_like(leaves))
    numbers(trees, b"leaf_value", leaves)
    check_linear([tree for tree, is_linear in zip(trees, linear, strict=True) if is_linear], columns)
    split = [tree for tree, count in zip(trees, leaves, strict=True) if count > 1]
    if not split:
        return
    leaves, categories = leaves[leaves > 1], categories[leaves > 1]
    for key in SPLIT_NUMBERS:
        numbers(split, key, leaves - 1)
    numbers(split, b"leaf_weight", leaves)
    counted(split, b"leaf_count", leaves)
    feature, decision, left, right, _ = (counted(split, key, leaves - 1) for key in SPLIT_INTEGERS)
    within(feature, columns, "split_feature")
    within(decision, 16, "decision_type")
    if not are_trees(*with_leaves(left, right, leaves)):
        raise ValueError("the children of a tree make no tree")
    check_categories(split, leaves, categories, decision)


def with_leaves(left: Ints, right: Ints, leaves: Ints) -> tuple[Ints, Ints, Ints]:
    """LightGBM's nodes with the leaves behind them as nodes of their own: it numbers leaf k as -k - 1."""
    inner = np.repeat(leaves - 1, leaves - 1)
    sizes = 2 * leaves - 1
    place = np.arange(len(left)) + np.repeat(np.cumsum(leaves) - leaves, leaves - 1)
    children = np.full((2, int(sizes.sum())), -1, np.int64)
    for row, child in zip(children, (left, right), strict=True):
        row[place] = np.where(child < 0, inner - child - 1, np.where(child < inner, child, inner * 2 + 1))
    return children[0], children[1], sizes


def check_categories(trees: list[Block], leaves: Ints, categories: Ints, decision: Ints) -> None:
    """A split of a category points to a range of bits, and the ranges fill what is there."""
    some = [tree for tree, count in zip(trees, categories, strict=True) if count]
    if some:
        borders = counted(some, b"cat_boundaries", categories[categories > 0] + 1)
        ends = np.cumsum(categories[categories > 0] + 1) - 1
        steps = np.diff(borders)
        if borders[0] or borders[ends[:-1] + 1].any() or (np.delete(steps, ends[:-1]) <= 0).any():
            raise ValueError("cat_boundaries do not rise from 0")
        counted(some, b"cat_threshold", borders[ends], largest=2**32)
    by_category = decision % 2 == 1
    threshold = np.array(b" ".join(tree[b"threshold"] for tree in trees).split(b" "))[by_category]
    chosen, limit = (
        integers([b" ".join(threshold)]) if len(threshold) else decision[:0],
        np.repeat(categories, leaves - 1),
    )
    within(chosen, limit[by_category], "threshold of a category")


def check_linear(trees: list[Block], columns: int) -> None:
    """Leaves with a line in them: each says how many columns it takes, then which, then by how much."""
    if not trees:
        return
    leaves = integers(tree[b"num_leaves"] for tree in trees)
    numbers(trees, b"leaf_const", leaves)
    taken = counted(trees, b"num_features", leaves)
    within(taken, columns + 1, "num_features")
    each = np.add.reduceat(taken, np.cumsum(leaves) - leaves)
    plain = [{key: b" ".join(tree[key].split()) for key in LINEAR} for tree in trees]
    used = [tree for tree, count in zip(plain, each, strict=True) if count]
    if any(tree[key] for tree, count in zip(plain, each, strict=True) if not count for key in LINEAR[2:]):
        raise ValueError("leaf_features are there that no leaf takes")
    if used:
        within(counted(used, b"leaf_features", each[each > 0]), columns, "leaf_features")
        numbers(used, b"leaf_coeff", each[each > 0])


def counted(trees: list[Block], key: bytes, counts: Ints, largest: int = 2**31) -> Ints:
    """The whole numbers of every tree, so many in each, in one array."""
    values = [tree[key] for tree in trees]
    check_counts(values, key, counts)
    found = integers(values)
    within(np.abs(found), largest, key.decode())
    return found


def numbers(trees: list[Block], key: bytes, counts: Ints) -> None:
    """Refuse trees that do not have so many numbers each."""
    values = [tree[key] for tree in trees]
    check_counts(values, key, counts)
    known = FINITE_NUMBERS if key in IN_LEAVES else NUMBERS
    if not known.fullmatch(joined(values)):
        raise ValueError(f"{key.decode()} are no numbers")


def check_counts(values: list[bytes], key: bytes, counts: Ints) -> None:
    """Refuse another number of words than expected."""
    if [value.count(b" ") + 1 for value in values] != counts.tolist():
        raise ValueError(f"{key.decode()} are more or fewer than the leaves")


def integers(values: Iterable[bytes]) -> Ints:
    """Whole numbers, one blank between them."""
    text = joined(list(values))
    if text.translate(None, INTEGERS):
        raise ValueError("what should be whole numbers are none")
    return np.array(list(map(int, text.split(b" "))), dtype=np.int64)


def joined(values: list[bytes]) -> bytes:
    """Lists of words as one list; an empty word anywhere is refused."""
    text = b" ".join(values)
    if not text or b"  " in text or text.startswith(b" ") or text.endswith(b" "):
        raise ValueError("a number is missing")
    return text
