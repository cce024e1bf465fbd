"""What every stage of one run shares: the recipe, the data, the folds, the packed images, the run folder, the display.

Everything here is made when first asked for, so a stage that is already done never reads an image.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from data.cohort import DataFolder
from data.errors import DataError
from data.files import sha256_of, write_text
from data.folds import Folds, make_folds
from data.images.pack import ImagePack, pack_fingerprint, usable_cores
from data.images.pack_build import build_pack
from data.images.sources import ImageSource
from data.recipe import read_folder
from data.synthetic.stand_in import stand_in
from pipeline.display import Display
from pipeline.execute.job import Executor
from pipeline.execute.local import LocalExecutor
from pipeline.execute.shared import Shared
from pipeline.recipe import Recipe, recipe_text
from pipeline.run import Step

if TYPE_CHECKING:
    from image_models.training.distributed import Ranks


@dataclass
class Workspace:
    """One run: its recipe, where its data come from and where its results go."""

    recipe: Recipe
    run_dir: Path
    cache_dir: Path
    weights_dir: Path
    display: Display
    data_dir: Path | None = None
    """The user's folder of Kaggle files; None uses the recipe's synthetic cohort."""
    storage: str | None = None
    """Optuna storage URL; None keeps each study in the run folder."""
    tensorboard: bool = False
    """Write training scalars to the run folder."""
    executor: Executor = field(default_factory=LocalExecutor)
    """Who does the jobs."""
    obeys_folds: bool = False
    """True in a worker: the folds are those of the run folder, whatever became of the file they were read from."""
    shared: Shared = field(default_factory=Shared)
    """Large things that the jobs of this process have in common."""
    ranks: "Ranks | None" = None
    """The processes that do the present job together; None where this one does it alone."""
    sharers: int = 1
    """How many of them share this machine's processors."""
    _noted: set[str] = field(default_factory=set)

    @property
    def synthetic(self) -> bool:
        """True when no data folder was given, so that every figure is about invented lesions."""
        return self.data_dir is None

    @property
    def threads(self) -> int:
        """Cores of this machine that a run may use."""
        return usable_cores()

    def note_once(self, text: str) -> None:
        """Print a remark that many jobs make, once."""
        if text not in self._noted:
            self._noted.add(text)
            self.display.say(f"note: {text}")

    def record_recipe(self) -> None:
        """Keep the whole recipe, defaults included, in the run folder."""
        write_text(self.run_dir / "recipe.toml", recipe_text(self.recipe))

    @cached_property
    def source_dir(self) -> Path:
        """The folder of published files: the user's, or the synthetic cohort written on first use."""
        if self.data_dir is not None:
            if not self.data_dir.is_dir():
                raise DataError(
                    f"data folder {self.data_dir} does not exist; give the folder of the Kaggle files (DATA=...)"
                )
            return self.data_dir
        with self.display.task("synthetic cohort") as progress:
            folder = stand_in(self.recipe.data, self.cache_dir, progress)
        if folder is None:
            raise DataError(
                "this recipe describes no synthetic data ([data.synthetic] or [data.twin]) and no data folder was "
                "given; give the folder of the published files with --data (make: DATA=...)"
            )
        return folder

    @cached_property
    def data(self) -> DataFolder:
        """The validated cohorts and their image sources."""
        data = read_folder(self.recipe.data, self.source_dir)
        for note in data.notes:
            self.display.warn(note)
        return data

    @property
    def folds_step(self) -> Step:
        """The making of the folds and everything it depends on."""
        given = self.recipe.folds.file
        if given is not None and not Path(given).is_file():
            raise DataError(f"fold file {given} does not exist; correct folds.file in the recipe")
        return Step(
            name="folds",
            folder=self.run_dir,
            report_name="folds.json",
            settings=self.recipe.folds.model_dump(mode="json"),
            inputs={
                "train table": self.data.train.fingerprint,
                **({"fold file": sha256_of(Path(given))} if given is not None else {}),
            },
        )

    @cached_property
    def folds(self) -> Folds:
        """The folds of this run: written once, then obeyed."""
        train = self.data.train
        if self.obeys_folds:
            return Folds.read(self.run_dir / "folds.parquet", train)
        step = self.folds_step
        path = self.run_dir / "folds.parquet"
        reason = step.why()
        if reason is None:
            return Folds.read(path, train)
        if step.report_path.exists():
            self.display.say(f"folds: {reason}; made anew, so every later step runs again")
        step.begin()
        folds = make_folds(train, self.recipe.folds)
        folds.write(path)
        step.finish(["folds.parquet"], folds=folds.summary().to_dicts(), method=folds.method)
        self.display.say(f"folds: {folds.count} by patient, stratified ({folds.method})")
        return folds

    @property
    def folds_checksum(self) -> str:
        """Checksum of folds.parquet, the input of every step that obeys it."""
        _ = self.folds
        return Step("folds", self.run_dir, {}, report_name="folds.json").checksum("folds.parquet")

    @property
    def train_images(self) -> ImageSource:
        """The training images; DataError for a data set of tables alone."""
        if self.data.train_images is None:
            raise DataError(
                f"{self.source_dir} holds tables without images; take the image models out of the recipe, "
                "or choose a reader of images in [data]"
            )
        return self.data.train_images

    @cached_property
    def train_pack(self) -> ImagePack:
        """The training images, decoded once, aligned to the training table."""
        return self.pack(self.train_images, self.data.train.ids, "training images")

    @cached_property
    def test_pack(self) -> ImagePack:
        """The test images, decoded once, aligned to the test table."""
        if self.data.test is None or self.data.test_images is None:
            raise DataError(f"{self.source_dir} has no test table with images")
        return self.pack(self.data.test_images, self.data.test.ids, "test images")

    def pack_fingerprint(self, source: ImageSource, ids: npt.NDArray[np.str_]) -> str:
        """Checksum of what a pack of these images would hold."""
        return pack_fingerprint(source, ids, self.recipe.data.image_size)

    def pack(self, source: ImageSource, ids: npt.NDArray[np.str_], label: str) -> ImagePack:
        """Open the cached pack of these images, or build it."""
        folder = self.cache_dir / self.pack_fingerprint(source, ids)
        # Without a report it is what a stopped build has finished so far, and the build goes on there.
        if (folder / "report.json").exists():
            try:
                return ImagePack.open(folder)
            except DataError as error:
                self.display.warn(f"{error}; packing the {label} again")
        with self.display.task(f"packing {label}") as progress:
            return build_pack(
                source,
                ids,
                folder,
                size=self.recipe.data.image_size,
                lesions_per_part=self.recipe.data.lesions_per_pack,
                max_missing_share=self.recipe.data.max_missing_images,
                workers=self.recipe.data.workers,
                progress=progress,
            )
