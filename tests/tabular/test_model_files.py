"""Model files are input: what kills a bare library is a DataError here, and what our training writes passes."""

import math
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError
from tabular.learners.learner import Rows, Settings
from tabular.learners.registry import LEARNERS
from tabular.model_files import catboost_cbm
from tabular.model_files.trees import are_trees
from tabular.model_files.ubj import read_ubj

COLUMNS, CATEGORY = 5, 3
BARE = {
    "lightgbm": """
import lightgbm
lightgbm.Booster(model_str=whole.decode()).predict(rows)
""",
    "xgboost": """
import xgboost
model = xgboost.Booster()
model.load_model(bytearray(whole))
model.inplace_predict(rows, validate_features=False)
""",
    "catboost": """
import catboost
model = catboost.CatBoost()
model.load_model(blob=whole)
text = np.full((50, 1), b"1", dtype=object)
model.predict(catboost.FeaturesData(num_feature_data=rows[:, :4].copy(), cat_feature_data=text))
""",
}
START = "import sys\nimport numpy as np\nwhole = open(sys.argv[1], 'rb').read()\nrows = np.zeros((50, 5), np.float32)\n"


def table(classes: int = 2, categorical: bool = True) -> Rows:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(600, COLUMNS)).astype(np.float32)
    values[:, CATEGORY] = rng.integers(0, 40, 600)
    target = (values[:, 0] + (values[:, CATEGORY] % 7 == 3) > 0.8).astype(np.int64)
    if classes == 3:
        target += values[:, 1] > 1
    return Rows(values, target, tuple("abcde"), (CATEGORY,) if categorical else ())


def fitted(name: str, path: Path, classes: int = 2, categorical: bool = True, iterations: int = 12, **given) -> bytes:
    """The file of a model, as this project writes it."""
    learner = LEARNERS[name]
    quick = {"lightgbm": {"min_data_in_leaf": 5}, "xgboost": {"max_cat_to_onehot": 1}, "catboost": {"depth": 3}}[name]
    settings = Settings({**quick, **given}, iterations, classes)
    learner.fit(learner.bin(table(classes, categorical), settings), settings).save(path)
    return path.read_bytes()


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    return {name: fitted(name, folder / name) for name in BARE}


def in_text(pattern: bytes, by: bytes) -> Callable[[bytes], bytes]:
    """The text with the first place of a pattern replaced, and the sizes of the trees set right again."""

    def change(whole: bytes) -> bytes:
        changed, count = re.subn(pattern, by, whole, count=1)
        assert count == 1
        assert changed != whole
        trees = changed[changed.index(b"Tree=0\n") : changed.index(b"end of trees\n")]
        sizes = [len(part) + len(b"Tree=") for part in trees.split(b"Tree=")[1:]]
        return re.sub(rb"tree_sizes=[\d ]+", b"tree_sizes=" + b" ".join(b"%d" % size for size in sizes), changed)

    return change


def in_ubj(key: str, place: int, value: float, kind: str = ">i") -> Callable[[bytes], bytes]:
    """The file with one number of the first array of a name replaced."""

    def change(whole: bytes) -> bytes:
        at = whole.index(key.encode() + b"[$") + len(key) + len(b"[$l#L") + 8 + place * struct.calcsize(kind)
        return whole[:at] + struct.pack(kind, value) + whole[at + struct.calcsize(kind) :]

    return change


def in_ubj_text(key: str, value: str) -> Callable[[bytes], bytes]:
    """The file with one text replaced."""

    def change(whole: bytes) -> bytes:
        at = whole.index(key.encode() + b"SL") + len(key) + 2
        end = at + 8 + struct.unpack(">q", whole[at : at + 8])[0]
        return whole[:at] + struct.pack(">q", len(value)) + value.encode() + whole[end:]

    return change


def behind_the_trees(whole: bytes) -> bytes:
    """CatBoost's tables of statistics with a size that is not theirs: the FlatBuffer before them is whole."""
    size = 8 + struct.unpack("<I", whole[4:8])[0]
    return (
        whole[:size] + b"\xff\xff\xff\x7f" * ((len(whole) - size) // 4) + whole[len(whole) - (len(whole) - size) % 4 :]
    )


DEADLY = {
    "lightgbm: more trees in a round than there are": (
        "lightgbm",
        in_text(rb"num_tree_per_iteration=1", b"num_tree_per_iteration=1000"),
    ),
    "lightgbm: a split of a column that is not there": (
        "lightgbm",
        in_text(rb"split_feature=\d+", b"split_feature=99999999"),
    ),
    "lightgbm: a node that is its own child": ("lightgbm", in_text(rb"left_child=-?\d+ ", b"left_child=0 ")),
    "lightgbm: more leaves than there are": ("lightgbm", in_text(rb"num_leaves=\d+", b"num_leaves=900000000")),
    "xgboost: a split of a column that is not there": ("xgboost", in_ubj("split_indices", 0, 2**30)),
    "xgboost: a node that is its own child": ("xgboost", in_ubj("left_children", 0, 0)),
    "xgboost: a child that is not there": ("xgboost", in_ubj("left_children", 0, 2**30)),
    "catboost: a size that is not right": ("catboost", behind_the_trees),
}
FORGED = {
    **DEADLY,
    "lightgbm: other classes": ("lightgbm", in_text(rb"num_class=1", b"num_class=3")),
    "lightgbm: another objective": ("lightgbm", in_text(rb"binary sigmoid:1", b"binary sigmoid:2")),
    "lightgbm: another number of columns": ("lightgbm", in_text(rb"max_feature_idx=4", b"max_feature_idx=40")),
    "lightgbm: a leaf without a value": ("lightgbm", in_text(rb"leaf_value=\S+ ", b"leaf_value=")),
    "lightgbm: a value that is no number": ("lightgbm", in_text(rb"leaf_value=\S+ ", b"leaf_value=many ")),
    "lightgbm: two blanks": ("lightgbm", in_text(rb"(leaf_value=\S+) \S+", rb"\1 ")),
    "lightgbm: a key twice": ("lightgbm", in_text(rb"shrinkage=1\n", b"num_leaves=2\n")),
    "lightgbm: a leaf reached twice": ("lightgbm", in_text(rb"(left_child=.*)-\d+\n", rb"\g<1>-1\n")),
    "lightgbm: categories beyond their bits": ("lightgbm", in_text(rb"cat_boundaries=0 \d+", b"cat_boundaries=0 9999")),
    "lightgbm: something after its end": ("lightgbm", lambda whole: whole + b"more\n"),
    "xgboost: a tree of another class": ("xgboost", in_ubj_text("num_class", "3")),
    "xgboost: another objective": ("xgboost", in_ubj_text("name", "reg:squarederror")),
    "xgboost: another number of columns": ("xgboost", in_ubj_text("num_feature", "4")),
    "xgboost: another number of nodes": ("xgboost", in_ubj_text("num_nodes", "3")),
    "xgboost: more trees than there are": ("xgboost", in_ubj_text("num_trees", "13")),
    "xgboost: a parent that is another": ("xgboost", in_ubj("parents", 1, 2)),
    "xgboost: a category that is none": ("xgboost", in_ubj("categories", 0, -1)),
    "xgboost: categories beyond their list": ("xgboost", in_ubj("categories_sizes", 0, 2**40, ">q")),
    "xgboost: a split of no kind": ("xgboost", in_ubj("split_type", 0, 7, ">b")),
    "xgboost: a leaf that is no number": ("xgboost", in_ubj("split_conditions", 0, math.nan, ">f")),
    "xgboost: a weight that is endless": ("xgboost", in_ubj("sum_hessian", 0, math.inf, ">f")),
    "xgboost: something after its end": ("xgboost", lambda whole: whole + b"}"),
    "catboost: another magic": ("catboost", lambda whole: b"CBM2" + whole[4:]),
    "catboost: a core larger than the file": ("catboost", lambda whole: whole[:4] + b"\xff\xff\xff\x7f" + whole[8:]),
}  # fmt: skip


@pytest.mark.parametrize("what", [one for one in DEADLY if "a split of a column" in one or "catboost" in one])
def test_the_bare_library_dies(what: str, sound: dict[str, bytes], tmp_path: Path) -> None:
    """Or the checks would be for nothing."""
    name, change = DEADLY[what]
    path = tmp_path / "model"
    path.write_bytes(change(sound[name]))
    try:
        code = subprocess.run(
            [sys.executable, "-c", START + BARE[name], str(path)], capture_output=True, timeout=6, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return
    assert code < 0


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_file_is_refused(what: str, sound: dict[str, bytes], tmp_path: Path) -> None:
    name, change = FORGED[what]
    path = tmp_path / "model"
    path.write_bytes(change(sound[name]))
    with pytest.raises(DataError, match=r"model is not a .*model.*train the member again") as caught:
        LEARNERS[name].load(path, COLUMNS, 2)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


@pytest.mark.parametrize("name", BARE)
@pytest.mark.parametrize(("columns", "classes"), [(COLUMNS + 1, 2), (COLUMNS - 1, 2), (COLUMNS, 3)])
def test_a_model_of_other_columns_or_classes_is_refused(
    name: str, columns: int, classes: int, sound: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(sound[name])
    with pytest.raises(DataError, match=f"of {columns} columns and {classes} classes"):
        LEARNERS[name].load(tmp_path / "model", columns, classes)


KINDS = [
    ("lightgbm", {}),
    ("lightgbm", {"linear_tree": True}),
    ("lightgbm", {"linear_tree": True, "min_data_in_leaf": 5000}),
    ("lightgbm", {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}),
    ("lightgbm", {"boosting": "dart"}),
    ("lightgbm", {"min_data_in_leaf": 5000}),
    ("lightgbm", {"max_depth": 1}),
    ("lightgbm", {"use_quantized_grad": True}),
    ("xgboost", {}),
    ("xgboost", {"gamma": 2, "max_depth": 8}),
    ("xgboost", {"booster": "dart", "rate_drop": 0.2}),
    ("xgboost", {"num_parallel_tree": 3, "subsample": 0.5}),
    ("xgboost", {"grow_policy": "lossguide", "max_leaves": 20}),
    ("xgboost", {"min_child_weight": 9999}),
    ("catboost", {}),
    ("catboost", {"grow_policy": "Depthwise"}),
    ("catboost", {"grow_policy": "Lossguide", "max_leaves": 5}),
]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("categorical", [False, True])
@pytest.mark.parametrize(("name", "given"), KINDS, ids=lambda value: str(value))
def test_every_kind_of_model_that_training_writes_is_read(
    name: str, given: dict[str, object], categorical: bool, classes: int, tmp_path: Path, monkeypatch
) -> None:
    if given.get("linear_tree") and categorical:
        pytest.skip("linear trees take no categories")
    monkeypatch.setattr(catboost_cbm, "_sound", set())
    fitted(name, tmp_path / "model", classes, categorical, **given)
    catboost_cbm._sound.clear()
    model = LEARNERS[name].load(tmp_path / "model", COLUMNS, classes)
    assert np.isfinite(model.predict(table(classes).values)).all()


def test_one_child_tries_every_file_and_only_once(
    sound: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    trial = catboost_cbm.stands_trial
    monkeypatch.setattr(catboost_cbm, "stands_trial", lambda whole: tried.append(len(whole)) or trial(whole))
    path = tmp_path / "model"
    path.write_bytes(sound["catboost"])
    LEARNERS["catboost"].load(path, COLUMNS, 2)
    assert tried == [], "written by this very process"
    monkeypatch.setattr(catboost_cbm, "_sound", set())
    for _ in range(3):
        LEARNERS["catboost"].load(path, COLUMNS, 2)
    first = catboost_cbm.running().pid
    assert len(tried) == 1
    path.write_bytes(behind_the_trees(sound["catboost"]))
    for _ in range(2):
        with pytest.raises(DataError, match="not a whole CatBoost model"):
            LEARNERS["catboost"].load(path, COLUMNS, 2)
    assert len(tried) == 3
    path.write_bytes(sound["catboost"])
    catboost_cbm._sound.clear()
    assert LEARNERS["catboost"].load(path, COLUMNS, 2).trees == 12
    assert catboost_cbm.running().pid != first, "a child that died is replaced"


def test_a_child_that_hangs_is_ended(sound: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    assert catboost_cbm.stands_trial(sound["catboost"])
    monkeypatch.setattr(catboost_cbm, "SECONDS", 0.2)
    child = catboost_cbm.running()
    child.send_signal(signal.SIGSTOP)
    assert not catboost_cbm.stands_trial(sound["catboost"])
    assert child.poll() is not None


def test_trees() -> None:
    def held(*trees: list[tuple[int, int]]) -> bool:
        nodes = np.array([node for tree in trees for node in tree]).T
        return are_trees(nodes[0], nodes[1], np.array([len(tree) for tree in trees]))

    leaf = (-1, -1)
    assert held([leaf], [(1, 2), leaf, (3, 4), leaf, leaf])
    assert held([(2, 1), leaf, leaf], [leaf])
    assert not held([(0, 1), leaf]), "its own child"
    assert not held([(1, 1), leaf]), "a child twice"
    assert not held([leaf, leaf]), "not reached"
    assert not held([leaf, (2, 3), (1, 4), leaf, leaf]), "a circle apart"
    assert not held([(1, 3), leaf, leaf], [leaf]), "a child of the next tree"


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:-1],
        lambda whole: whole + b"N",
        lambda whole: b"[" * 100,
        lambda whole: b"{L" + struct.pack(">q", 2**62) + b"a",
        lambda whole: b"[$d#L" + struct.pack(">q", 2**60),
        lambda whole: b"[#L" + struct.pack(">q", -1),
        lambda whole: b"[$x#L" + bytes(8),
        lambda whole: b"?",
        lambda whole: b"SL" + struct.pack(">q", 1) + b"\xff",
        lambda whole: b"{" + 2 * (b"L" + struct.pack(">q", 1) + b"aT") + b"}",
    ],
)
def test_what_is_no_ubj_is_a_value_error(damage: Callable[[bytes], bytes], sound: dict[str, bytes]) -> None:
    with pytest.raises(ValueError):
        read_ubj(damage(sound["xgboost"]))
