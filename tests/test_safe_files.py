"""No file that the project reads can run code.

The code base calls nothing that could, and the search finds such calls when they are planted. That a malicious pickle
under each name that is loaded stays without effect is seen in `test_malicious_pickles.py`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import FusionNetXError

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "features", "image_models", "tabular", "pipeline", "research", "fusionnetx")

FORBIDDEN_MODULES = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "jsonpickle"),
    "imp",
}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "execfile", "runpy.run_path"),
    *("os.system", "os.popen", "os.execv", "os.spawnv", "pd.read_pickle", "pandas.read_pickle", "pl.read_ipc_stream"),
    *("torch.hub.load", "torch.jit.load", "torch.package.PackageImporter", "yaml.load", "joblib.load"),
    *("shutil.unpack_archive", "tempfile.mktemp", "LazyFrame.deserialize", "pl.LazyFrame.deserialize"),
    *("pl.DataFrame.deserialize", "pl.Expr.deserialize", "xml.etree.ElementTree.parse"),
}
FORBIDDEN_METHODS = {"extractall", "read_pickle", "to_pickle", "load_from_checkpoint"}
NEEDED = {  # calls that are safe with this keyword at this value alone
    "torch.load": ("weights_only", True),
    "load_state_dict_from_hf": ("weights_only", True),
    "load_state_dict_from_url": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
}
REFUSED_KEYWORDS = {"shell": True, "allow_pickle": True, "weights_only": False, "trust_remote_code": True}
BY_A_FIXED_TABLE = {
    "data/registry.py", "features/families/registry.py", "image_models/networks/registries.py",
    "pipeline/execute/job.py", "pipeline/execute/ray_cluster.py", "pipeline/execute/worker.py",
}  # fmt: skip
"""Modules imported by name there: the names stand in the code or are those of installed files, none comes from data."""


ON_PURPOSE = {"research/kills/mortal.py": "calls runpy.run_path"}
"""The fault harness runs the program that it is to kill."""


def called(node: ast.expr) -> str:
    """`np.load` of `np.load(...)`."""
    if isinstance(node, ast.Attribute):
        return f"{called(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def unsafe(source: str, name: str = "") -> Iterator[str]:
    """Every call and import by which a file could run code."""
    for node in ast.walk(ast.parse(source)):
        where = f"{name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"{where} imports {m}" for m in modules if m.split(".")[0] in FORBIDDEN_MODULES)
        if not isinstance(node, ast.Call):
            continue
        function = called(node.func)
        keywords = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
        if function in FORBIDDEN_CALLS or function.rpartition(".")[2] in FORBIDDEN_METHODS:
            yield f"{where} calls {function}"
        if function in NEEDED and keywords.get(NEEDED[function][0]) is not NEEDED[function][1]:
            yield f"{where} calls {function} without {NEEDED[function][0]}={NEEDED[function][1]}"
        yield from (
            f"{where} says {k}={v}" for k, v in keywords.items() if k in REFUSED_KEYWORDS and REFUSED_KEYWORDS[k] is v
        )
        fixed = bool(node.args) and isinstance(node.args[0], ast.Constant)
        if function.rpartition(".")[2] == "import_module" and not fixed and name not in BY_A_FIXED_TABLE:
            yield f"{where} imports a module whose name is not in the code"
        if function == "Image.open" and not any(k.arg == "formats" for k in node.keywords):
            yield f"{where} opens an image of any format that Pillow knows"


def test_nothing_in_the_code_base_lets_a_file_run_code():
    found = [
        problem
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for problem in unsafe(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
        if not problem.endswith(ON_PURPOSE.get(str(path.relative_to(ROOT)), "\0"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "import yaml", "torch.load(path)",
        "torch.load(path, weights_only=False)", "np.load(path)", "np.load(path, allow_pickle=True)",
        "eval(text)", "exec(text)", "os.system(text)", "subprocess.run(text, shell=True)", "archive.extractall(folder)",
        "frame = pd.read_pickle(path)", "importlib.import_module(name)", "__import__(name)", "Image.open(path)",
        "load_state_dict_from_hf(name)", "shutil.unpack_archive(path)", "pl.LazyFrame.deserialize(path)",
    ],
)  # fmt: skip
def test_the_search_finds_what_is_planted(line: str):
    assert list(unsafe(f"def f():\n    {line}\n"))


def test_hdf5_is_opened_where_links_are_refused_or_files_are_made():
    """Whoever reads HDF5 elsewhere would follow links to any file of the machine."""
    openers = {
        str(path.relative_to(ROOT))
        for package in ("data", "features", "image_models", "tabular", "pipeline", "research", "fusionnetx")
        for path in (ROOT / package).rglob("*.py")
        if "h5py.File(" in path.read_text(encoding="utf-8")
    }
    readers = {
        name for name in openers if "h5py.File(" in (ROOT / name).read_text() and name != "data/images/sources.py"
    }
    for name in readers:
        for call in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and called(call.func) == "h5py.File":
                mode = call.args[1] if len(call.args) > 1 else None
                assert isinstance(mode, ast.Constant), f"{name} opens HDF5 without saying how"
                assert mode.value in {"w", "x", "w-"}, f"{name} opens HDF5 to read"


def test_no_byte_of_another_file_comes_out_of_an_hdf5_file(tmp_path: Path):
    from data.images.sources import Hdf5Images

    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff\xd8 a secret")
    with h5py.File(tmp_path / "other.hdf5", "w") as other:
        other["x"] = np.void(b"\xff\xd8 a secret")
    with h5py.File(tmp_path / "images.hdf5", "w") as file:
        file["link"] = h5py.ExternalLink("other.hdf5", "x")
        file["soft"] = h5py.SoftLink("/link")
        file.create_dataset("raw", (10,), np.uint8, external=[(str(secret), 0, 10)])
        layout = h5py.VirtualLayout((10,), np.uint8)
        layout[:] = h5py.VirtualSource("other.hdf5", "x", (10,))
        file.create_virtual_dataset("virtual", layout)
    source = Hdf5Images(tmp_path / "images.hdf5")
    for name in source.ids.tolist():
        with pytest.raises(FusionNetXError, match="not followed"):
            source.read(name)
