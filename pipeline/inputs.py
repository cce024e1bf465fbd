"""What a run reads, opened once: its data, its folds, its packed images. Made when first asked for.

A step that is done already never opens an image.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.cohort import DataFolder
from data.errors import DataError
from data.files import sha256_of
from data.folds import Folds
from data.images.pack import ImagePack, pack_fingerprint
from data.images.pack_build import build_pack
from data.images.sources import ImageSource
from data.recipe import read_folder
from data.synthetic.stand_in import stand_in
from pipeline.facts import InputFacts
from pipeline.run import Run
from pipeline.runtime import Runtime

Ids = npt.NDArray[np.str_]


@dataclass
class Inputs:
    """The inputs of one run."""

    run: Run
    runtime: Runtime
    given: DataFolder | None = None
    """Data that are in memory already: a variant reads nothing again."""
    given_pack: ImagePack | None = field(default=None, repr=False)
    """Training images to use in place of the packed ones."""

    def of(self, run: Run, runtime: Runtime | None = None) -> "Inputs":
        """The inputs of a variant that is made from the same data."""
        return Inputs(run, runtime or self.runtime, given=self.data, given_pack=self.given_pack)

    @cached_property
    def source_dir(self) -> Path:
        """The folder of published files: the user's, or the synthetic cohort written on first use."""
        run = self.run
        if run.data_dir is not None:
            if not run.data_dir.is_dir():
                raise DataError(
                    f"data folder {run.data_dir} does not exist; give the folder of the published files with --data "
                    "(make: DATA=...)"
                )
            return run.data_dir
        if not run.invented:
            raise DataError(
                f"run {run.folder} was made from a data folder of which it does not say where it is: give it with "
                "--data (make: DATA=...)"
            )
        with self.runtime.display.task("synthetic cohort") as progress:
            folder = stand_in(run.recipe.data, self.runtime.cache_dir, progress)
        if folder is None:
            raise DataError(
                "this recipe describes no synthetic data ([data.synthetic] or [data.twin]) and no data folder was "
                "given; give the folder of the published files with --data (make: DATA=...)"
            )
        return folder

    @cached_property
    def data(self) -> DataFolder:
        """The validated cohorts and their image sources."""
        if self.given is not None:
            return self.given
        data = read_folder(self.run.recipe.data, self.source_dir)
        for line in data.understood:
            self.runtime.note_once(line)
        for note in data.notes:
            self.runtime.warn_once(note)
        return data

    @cached_property
    def facts(self) -> InputFacts:
        """Checksums of what there is; how many folds is known once they are made."""
        data, given = self.data, self.run.recipe.folds.file
        seen = self.run.recipe.sees_images
        if given is not None and not Path(given).is_file():
            raise DataError(f"fold file {given} does not exist; correct folds.file in the recipe")
        return InputFacts(
            train_table=data.train.fingerprint,
            train_images=self._packed(self.train_images, data.train.ids) if seen else None,
            test_table=None if data.test is None else data.test.fingerprint,
            test_images=self._packed(data.test_images, data.test.ids) if seen and data.test is not None else None,
            fold_file=None if given is None else sha256_of(Path(given)),
        )

    @cached_property
    def folds(self) -> Folds:
        """The folds of this run, as its folder has them."""
        path = self.run.folder / "folds.parquet"
        if not path.is_file():
            raise DataError(f"run {self.run.folder} has no folds yet; `fusionnetx oof` makes them")
        return Folds.read(path, self.data.train)

    def forget_folds(self) -> None:
        """Read the folds again: they were made anew."""
        vars(self).pop("folds", None)

    @property
    def train_images(self) -> ImageSource:
        """The training images; DataError for a data set of tables alone."""
        if self.data.train_images is None:
            raise DataError(
                f"{self.source_dir} holds tables without images; take the image models out of the recipe, add the "
                "images, or choose a reader of images in [data]"
            )
        return self.data.train_images

    @cached_property
    def train_pack(self) -> ImagePack:
        """The training images, decoded once, aligned to the training table."""
        return self.given_pack or self._pack(self.train_images, self.data.train.ids, "training images")

    @cached_property
    def test_pack(self) -> ImagePack:
        """The test images, decoded once, aligned to the test table."""
        if self.data.test is None or self.data.test_images is None:
            raise DataError(f"{self.source_dir} has no test table with images")
        return self._pack(self.data.test_images, self.data.test.ids, "test images")

    def opened_packs(self) -> tuple[Path, ...]:
        """Folders of the packs that were needed so far."""
        return tuple(vars(self)[name].folder for name in ("train_pack", "test_pack") if name in vars(self))

    def _packed(self, source: ImageSource | None, ids: Ids) -> str | None:
        """Checksum of what a pack of these images holds, or would hold."""
        if source is None:
            return None
        return pack_fingerprint(source, ids, self.run.recipe.data.image_size)

    def _pack(self, source: ImageSource, ids: Ids, label: str) -> ImagePack:
        """Open the cached pack of these images, or build it."""
        recipe, display = self.run.recipe.data, self.runtime.display
        folder = self.runtime.cache_dir / pack_fingerprint(source, ids, recipe.image_size)
        # Without a report it is what a stopped build has finished so far, and the build goes on there.
        if (folder / "report.json").exists():
            try:
                return ImagePack.open(folder)
            except DataError as error:
                display.warn(f"{error}; packing the {label} again")
        with display.task(f"packing {label}") as progress:
            return build_pack(
                source,
                ids,
                folder,
                size=recipe.image_size,
                lesions_per_part=recipe.lesions_per_pack,
                max_missing_share=recipe.max_missing_images,
                workers=recipe.workers,
                progress=progress,
            )
