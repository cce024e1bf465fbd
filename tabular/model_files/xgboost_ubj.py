"""XGBoost's UBJ: read by a reader of our own and compared with what is expected, before XGBoost sees it.

Covered: columns, classes and objective, the length of every array of every tree, every index into them (columns,
children, categories, classes, rounds), that trees are trees, and that their numbers are finite. Only boosters of trees
pass (`gbtree`, `dart`). Not covered: whether the numbers in the leaves are those of the training, which is what the
checksum in the member's manifest says.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from tabular.model_files.trees import Ints, are_trees, within
from tabular.model_files.ubj import read_ubj

PER_NODE = (
    "base_weights", "default_left", "left_children", "loss_changes", "parents", "right_children", "split_conditions",
    "split_indices", "split_type", "sum_hessian",
)  # fmt: skip
PER_CATEGORY_NODE = ("categories_nodes", "categories_segments", "categories_sizes")
TREE = frozenset({*PER_NODE, *PER_CATEGORY_NODE, "categories", "id", "tree_param"})
MOST_CATEGORIES = 2**24
"""XGBoost's own bound: a float holds every whole number up to it."""


def check(whole: bytes, path: Path, columns: int, classes: int) -> None:
    """Refuse a file that is not a whole model of so many columns and classes."""
    try:
        learner = read_ubj(whole)["learner"]
        check_learner(learner, columns, classes)
        check_trees(trees_of(learner["gradient_booster"], 1 if classes == 2 else classes), columns)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)[:100]
        raise DataError(
            f"{path} is not a whole XGBoost model of {columns} columns and {classes} classes: {what}; train the "
            "member again"
        ) from error


def check_learner(learner: dict[str, Any], columns: int, classes: int) -> None:
    """Columns, classes and objective as expected."""
    told, objective = learner["learner_model_param"], learner["objective"]
    binary = classes == 2
    for what, found, wanted in (
        ("the number of columns", told["num_feature"], str(columns)),
        ("the number of classes", told["num_class"], "0" if binary else str(classes)),
        ("the number of targets", told["num_target"], "1"),
        ("the objective", objective["name"], "binary:logistic" if binary else "multi:softprob"),
        ("the names of columns", len(learner["feature_names"]), columns),
        ("the kinds of columns", len(learner["feature_types"]), columns),
    ):
        if found != wanted:
            raise ValueError(f"{what}: {found} instead of {wanted}")
    if not binary and objective["softmax_multiclass_param"]["num_class"] != str(classes):
        raise ValueError("the objective has other classes than the model")
    if not set(learner["feature_types"]) <= {"q", "c"}:
        raise ValueError("a column is of another kind")
    base = np.array(told["base_score"].strip("[]").split(","), dtype=np.float64)
    if len(base) not in (1, 1 if binary else classes) or not np.isfinite(base).all():
        raise ValueError("the base score is of other classes")


def trees_of(booster: dict[str, Any], groups: int) -> list[dict[str, Any]]:
    """The trees of a booster whose own counts agree; each is of one class, and rounds are whole."""
    if booster["name"] == "dart":
        drop, booster = booster["weight_drop"], booster["gbtree"]
    elif booster["name"] == "gbtree":
        drop = None
    else:
        raise ValueError("its booster is not one of trees")
    model = booster["model"]
    trees, info = model["trees"], array(model["tree_info"])
    rounds = array(model["iteration_indptr"])
    count = len(trees)
    if drop is not None and not np.isfinite(np.asarray(drop)).all():
        raise ValueError("the weights of its trees are not all finite")
    if (
        model["gbtree_model_param"]["num_trees"] != str(count)
        or len(info) != count
        or (drop is not None and len(drop) != count)
        or not count
    ):
        raise ValueError("its lists of trees are of different lengths")
    within(info, groups, "the class of a tree")
    parallel = int(model["gbtree_model_param"]["num_parallel_tree"])
    if parallel < 1 or not np.array_equal(rounds, np.arange(0, count + 1, groups * parallel)):
        raise ValueError("its rounds do not hold the trees")
    if not np.array_equal(info, np.repeat(np.tile(np.arange(groups), len(rounds) - 1), parallel)):
        raise ValueError("its trees are not in the order of their classes")
    if any(len(part) for part in model.get("cats", {}).values()):
        raise ValueError("it has categories of its own")
    return list(trees)


def check_trees(trees: list[dict[str, Any]], columns: int) -> None:
    """Arrays as long as the number of nodes says, indices within what they point into."""
    sizes = np.array([len(tree["left_children"]) for tree in trees], dtype=np.int64)
    if sizes.min() < 1:
        raise ValueError("a tree has no node")
    for number, (tree, size) in enumerate(zip(trees, sizes.tolist(), strict=True)):
        told = tree["tree_param"]
        if (
            not tree.keys() <= TREE
            or tree["id"] != number
            or [told["num_nodes"], told["num_deleted"], told["num_feature"], told["size_leaf_vector"]]
            != [str(size), "0", str(columns), "1"]
        ):
            raise ValueError(f"tree {number} says other numbers of itself")
        if any(len(tree[key]) != size for key in PER_NODE) or len({len(tree[key]) for key in PER_CATEGORY_NODE}) > 1:
            raise ValueError(f"an array of tree {number} has another length than its nodes")
    left, right, kind, column, parent = (
        joined(trees, key) for key in ("left_children", "right_children", "split_type", "split_indices", "parents")
    )
    within(kind, 2, "the kind of a split")
    within(column, columns, "the column of a split")
    if (
        ((left < 0) != (right < 0)).any()
        or (left < -1).any()
        or (right < -1).any()
        or not are_trees(left, right, sizes)
    ):
        raise ValueError("the children of a tree make no tree")
    check_parents(left, right, parent, sizes)
    check_categories(trees, kind, sizes)
    # A split by category has no threshold: XGBoost writes NaN there.
    for key, needed in (("split_conditions", kind == 0), ("sum_hessian", slice(None)), ("base_weights", slice(None))):
        if not np.isfinite(np.concatenate([tree[key] for tree in trees])[needed]).all():
            raise ValueError(f"{key} are not all finite")


def check_parents(left: Ints, right: Ints, parent: Ints, sizes: Ints) -> None:
    """Every child knows its parent."""
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    for child in (left, right):
        inner = np.flatnonzero(child >= 0)
        if not np.array_equal(parent[child[inner] + starts[inner]], inner - starts[inner]):
            raise ValueError("a node has another parent than it says")


def check_categories(trees: list[dict[str, Any]], kind: Ints, sizes: Ints) -> None:
    """A node that splits by category has its part of the list of categories, and no other node has one."""
    starts = np.cumsum(sizes) - sizes
    by_category = [np.zeros(0, np.int64)]
    for number, (tree, start) in enumerate(zip(trees, starts.tolist(), strict=True)):
        nodes, sizes_of = array(tree["categories_nodes"]), array(tree["categories_sizes"])
        if not len(nodes):
            if len(tree["categories"]):
                raise ValueError(f"tree {number} has categories that no split takes")
            continue
        within(nodes, int(sizes[number]), "the node of a category")
        ends = np.cumsum(sizes_of)
        if (
            (sizes_of < 0).any()
            or not np.array_equal(array(tree["categories_segments"]), ends - sizes_of)
            or ends[-1] != len(tree["categories"])
        ):
            raise ValueError(f"the categories of tree {number} do not fill their list")
        within(array(tree["categories"]), MOST_CATEGORIES, "a category")
        by_category.append(nodes + start)
    if not np.array_equal(np.concatenate(by_category), np.flatnonzero(kind == 1)):
        raise ValueError("a split by category has no categories")


def joined(trees: list[dict[str, Any]], key: str) -> Ints:
    """One array of all trees; whole numbers only."""
    return array(np.concatenate([np.asarray(tree[key]) for tree in trees]))


def array(values: Any) -> Ints:
    """A list of whole numbers as an array."""
    found: npt.NDArray[Any] = np.asarray(values)
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        raise ValueError("what should be whole numbers are none")
    return found.astype(np.int64)
