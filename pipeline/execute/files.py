"""What jobs read and write, spelled so that another machine finds it: `run/...`, `data/`, `cache/...`, `weights/`.

Only a store needs these names; workers that share the driver's folders read the files where they are.
"""

from pathlib import Path

from image_models.recipe import ImageModelRecipe
from pipeline.workspace import Workspace

FOLDS = ("run/folds.parquet", "run/folds.json")


def run_name(path: Path, space: Workspace) -> str:
    """A path of the run folder."""
    return f"run/{path.relative_to(space.run_dir).as_posix()}"


def data_inputs(space: Workspace) -> tuple[str, ...]:
    """The data folder and the folds: every job reads them to know what it is about."""
    if space.data_dir is not None:
        return "data/", *FOLDS
    return *in_cache(space, space.source_dir), *FOLDS


def pack_inputs(space: Workspace, name: str) -> tuple[str, ...]:
    """The packed images, if this run needed them so far: `train_pack` or `test_pack`."""
    pack = vars(space).get(name)
    return () if pack is None else in_cache(space, pack.folder)


def in_cache(space: Workspace, path: Path) -> tuple[str, ...]:
    """The name of a folder of the cache; nothing for one that lies elsewhere and has no name."""
    return (f"cache/{path.relative_to(space.cache_dir).as_posix()}",) if path.is_relative_to(space.cache_dir) else ()


def weight_inputs(space: Workspace, model: ImageModelRecipe) -> tuple[str, ...]:
    """The pretrained weights that a model may start from."""
    if model.pretrained == "none":
        return ()
    if model.pretrained == "timm":
        return ("weights/",)
    path, here = Path(model.pretrained).expanduser().resolve(), Path.cwd()
    return (f"working/{path.relative_to(here).as_posix()}",) if path.is_relative_to(here) else ()
