"""What an answer about one lesion rests on: asked of the models on demand by one worker, kept in the run folder."""

import hashlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import DataError
from data.files import atomic, read_object, write_json
from features.table import FeatureTable
from pipeline.explain.population import Population
from pipeline.page.opened import Opened
from pipeline.page.view import View
from pipeline.report.finished import Floats, Ints

FOLDER = Path("page") / "kept"


@dataclass(frozen=True)
class OnePatient(Population):
    """A patient by itself: features compare lesions within a patient, so nobody else's are needed."""

    everyone: Population | None = None
    rows: Ints | None = None
    """Of this patient, in `everyone`."""

    @staticmethod
    def of(everyone: Population, rows: Ints) -> "OnePatient":
        """Some rows of a population, all of one patient."""
        cohort = replace(everyone.cohort, table=everyone.cohort.table[rows])
        scores = None if everyone.scores is None else everyone.scores[rows]
        return OnePatient(
            everyone.plan, everyone.runtime, everyone.kind, cohort, everyone.images, scores, everyone.invented,
            everyone=everyone, rows=rows,
        )  # fmt: skip

    def folds_of(self, row: int) -> tuple[int, ...]:
        """Folds whose models did not see the lesion."""
        assert self.everyone is not None
        assert self.rows is not None
        return self.everyone.folds_of(int(self.rows[row]))

    def features(self, fold: int) -> FeatureTable:
        """The features that the boosters of a fold are shown."""
        assert self.everyone is not None
        assert self.rows is not None
        if self.everyone.finished is not None and self.plan.images.pairs:
            table = self.everyone.features(fold)
            return replace(table, frame=table.frame[self.rows])
        return self._features

    def probability(self, rows: Ints, blend: Floats) -> Floats:
        """What the blend's score of some of the patient's lesions is worth."""
        assert self.everyone is not None
        assert self.rows is not None
        return self.everyone.probability(self.rows[rows], blend)

    def said(self, rows: Ints) -> dict[str, Floats]:
        """What every model says of some of the patient's lesions."""
        assert self.everyone is not None
        assert self.rows is not None
        return self.everyone.said(self.rows[rows]) if self.everyone.finished is not None else super().said(rows)


class Explainer:
    """Has lesions explained, one after the other."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.mark = opened.mark()
        self.folder = opened.run.folder / FOLDER
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="explaining")
        self._asked: dict[str, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def name_of(self, view: View, row: int) -> str:
        """Of the kept files: by models, table and lesion."""
        said = "\0".join((self.mark, view.key, str(view.towards), str(view.lesions["lesion"][row])))
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    def kept(self, view: View, row: int) -> dict[str, Any] | None:
        """What was found before; None where nobody asked, or the file is damaged."""
        return read_object(self.folder / f"{self.name_of(view, row)}.json")

    def ask(self, view: View, row: int) -> "Future[dict[str, Any]]":
        """Have a lesion explained; who asks again waits for the same answer."""
        name = self.name_of(view, row)
        with self._lock:
            if name not in self._asked:
                self._asked[name] = self.worker.submit(self._work, view, row, name)
                self._asked[name].add_done_callback(lambda _: self._forget(name))
            return self._asked[name]

    def _forget(self, name: str) -> None:
        with self._lock:
            self._asked.pop(name, None)

    def _work(self, view: View, row: int, name: str) -> dict[str, Any]:
        if (found := self.kept(view, row)) is not None:
            return found
        if view.population is None:
            raise DataError("the models of this table are not at hand")
        if self.opened.mark() != self.mark:
            raise DataError("the run has been trained again since this page was opened; start the page again")
        figures = self._explain(view, row, name)
        write_json(self.folder / f"{name}.json", figures)
        return figures

    def _explain(self, view: View, row: int, name: str) -> dict[str, Any]:
        # What needs torch is imported when somebody asks: a page that is only looked at does without.
        from pipeline.explain.boosters import explain_boosters
        from pipeline.explain.networks import explain_networks, picture
        from pipeline.explain.overlay import overlay, png
        from pipeline.explain.sheet import figures_of

        assert view.population is not None
        rows = np.sort(view.rows_of(int(view.lesions["patient"][row])))
        patient, at = OnePatient.of(view.population, rows), int(np.searchsorted(rows, row))
        try:
            image = picture(patient, at)
        except DataError:
            image = None
        asked = [one for one in self.opened.run.recipe.image_models if image is not None or one.backbone == "none"]
        networks = explain_networks(patient, at, asked, view.towards, image)
        for place, one in enumerate(networks):
            if one.heat is not None and image is not None:
                with atomic(self.folder / f"{name}-{place}.png") as temporary:
                    temporary.write_bytes(png(overlay(image, one.heat)))
        boosters, said = explain_boosters(patient, at, view.towards), patient.said(np.arange(len(rows), dtype=np.int64))
        figures = figures_of(patient, at, view.towards, networks, boosters, said, has_image=image is not None)
        # The patient's other lesions are on the page anyway.
        kept = {name: figures[name] for name in ("networks", "boosters", "said", "said_in_words")}
        return kept | {"maps": [one.heat is not None and image is not None for one in networks]}

    def heat_map(self, view: View, row: int, place: int) -> bytes:
        """A kept heat map; DataError where there is none."""
        try:
            return (self.folder / f"{self.name_of(view, row)}-{place:d}.png").read_bytes()
        except OSError as error:
            raise DataError("this map has not been made") from error
