"""A run: a recipe, a folder, and where its data are. What a run is never changes; a variant is another run.

`run.json` and `recipe.toml` in the folder say it, so that every verb but those that start a run needs the folder alone.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.files import read_json, write_json, write_text
from data.synthetic.stand_in import is_invented
from pipeline.recipe import Recipe, load_recipe, recipe_text

FILE, RECIPE_FILE = "run.json", "recipe.toml"
EXPORT_FILE = "export.json"
"""What a folder that was exported to predict elsewhere has beside them."""
FORMAT = 1


@dataclass(frozen=True)
class Run:
    """What is run, on which data, and where its results are."""

    recipe: Recipe
    folder: Path
    data_dir: Path | None
    """The folder of published files; None: the synthetic data that the recipe describes."""
    invented: bool
    """Whether the lesions are invented: a fact of the data, wherever they lie."""

    @staticmethod
    def of(recipe: Recipe, folder: Path, data_dir: Path | None = None) -> "Run":
        """A run of a recipe on a folder of data, or on the recipe's synthetic data."""
        return Run(recipe, folder, data_dir, data_dir is None or is_invented(data_dir))

    @staticmethod
    def open(folder: Path) -> "Run":
        """The run that a folder holds; DataError when it holds none."""
        if not (folder / RECIPE_FILE).is_file():
            raise DataError(
                f"{folder} is not a run folder: it has no {RECIPE_FILE}; name a run with --run "
                "(`fusionnetx runs` lists those under runs/)"
            )
        recipe = load_recipe(str(folder / RECIPE_FILE))
        facts = recorded(folder)
        data_dir = facts.get("data")
        # Data that the folder itself keeps are found wherever it is moved.
        return Run(recipe, folder, None if data_dir is None else folder / data_dir, bool(facts["invented"]))

    @property
    def name(self) -> str:
        """What studies, cards and bundles call it; bytes that are no text are spelled out."""
        return self.folder.name.encode("utf-8", "backslashreplace").decode()

    @property
    def is_recorded(self) -> bool:
        """Whether the folder says already what run it holds."""
        return (self.folder / RECIPE_FILE).is_file()

    def derive(
        self, *, recipe: Recipe | None = None, folder: Path | None = None, data_dir: Path | None = None
    ) -> "Run":
        """A variant; what is not given stays."""
        moved = self if data_dir is None else replace(self, data_dir=data_dir, invented=is_invented(data_dir))
        return replace(moved, recipe=recipe or self.recipe, folder=folder or self.folder)

    def record(self) -> None:
        """Write what the run is into its folder: the whole recipe, defaults included, and where the data are."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / RECIPE_FILE, recipe_text(self.recipe))
        write_json(
            self.folder / FILE,
            {
                "format": FORMAT,
                "reader": self.recipe.data.reader,
                "data": None if self.data_dir is None else spelled(self.data_dir.resolve(), self.folder.resolve()),
                "invented": self.invented,
            },
        )


def spelled(data_dir: Path, folder: Path) -> str:
    """A folder of data as run.json names it: from the run folder if it lies there, else absolute."""
    return str(data_dir.relative_to(folder) if data_dir.is_relative_to(folder) else data_dir)


def recorded(folder: Path) -> dict[str, Any]:
    """What run.json says; of a run that was made before there was one, what its submission says."""
    path = folder / FILE
    if path.is_file():
        try:
            facts = read_json(path)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path} is damaged ({error}); run the command that made the run again") from error
        if isinstance(facts, dict) and isinstance(facts.get("invented"), bool) and _is_path(facts.get("data")):
            return facts
        raise DataError(f"{path} is damaged; run the command that made the run again, with its --data")
    try:
        told = read_json(folder / "submission.json")["settings"]["synthetic"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        told = True
    return {"data": None, "invented": bool(told)}


def _is_path(value: Any) -> bool:
    return value is None or isinstance(value, str)
