"""What every handler needs: the run, the work list, the workers, and templates that escape whatever they are given."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from data.errors import DataError
from pipeline.explain.overlay import scale
from pipeline.page.arriving import Arrivals
from pipeline.page.explaining import Explainer
from pipeline.page.opened import Opened
from pipeline.page.view import View
from pipeline.page.work_list import State, WorkList

HERE = Path(__file__).parent
REPORT_STYLE = HERE.parent / "report" / "report.css"


@dataclass(frozen=True, eq=False)
class Page:
    """The page of one run."""

    opened: Opened
    work: WorkList
    explainer: Explainer
    arrivals: Arrivals

    @staticmethod
    def of(opened: Opened) -> "Page":
        """With everything it keeps in the run folder."""
        return Page(opened, WorkList(opened.run.folder), Explainer(opened), Arrivals(opened))

    @cached_property
    def templates(self) -> Environment:
        """Everything is escaped; a value that is not there is an error."""
        found = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default_for_string=True, default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        found.filters |= {"probability": probability, "score": score, "percent": percent, "count": count}
        found.globals |= {"run": self.opened.run, "trouble": self.opened.trouble, "views": self.opened.views}
        return found

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page, or a part of one."""
        text = self.templates.get_template(template).render(base=request.scope["root_path"], **values)
        return HTMLResponse(text, status)

    def view(self, request: Request) -> View:
        """The view that an address names; it must be one that is open."""
        found = self.opened.views.get(str(request.path_params.get("view", "")))
        if found is None:
            raise HTTPException(404, "There is no such table of lesions. It may have been removed.")
        return found

    def patient(self, request: Request, view: View) -> int:
        """The number of a patient."""
        place = int(request.path_params["patient"])
        if place >= view.patient_count:
            raise HTTPException(404, f"There is no such {view.words['group']}.")
        return place

    def row(self, view: View, place: int) -> int:
        """The number of a lesion."""
        if not 0 <= place < len(view.lesions):
            raise HTTPException(404, f"There is no such {view.words['row']}.")
        return place

    def marks(self, view: View, patient: int) -> dict[str, State]:
        """What is marked of a patient's lesions, by lesion."""
        name = str(view.lesions["name"][int(view.rows_of(patient)[0])])
        return {lesion: state for (_, lesion), state in self.work.states(view.key, patient=name).items()}


def style() -> str:
    """The report's palette and type, and what the page adds."""
    return (
        REPORT_STYLE.read_text(encoding="utf-8")
        + (HERE / "static" / "page.css").read_text(encoding="utf-8")
        + (f".heat-scale{{background:{scale()}}}")
    )


def probability(value: float | None) -> str:
    """`3.2 %`; small ones keep two digits."""
    if value is None or value != value:
        return "–"
    share = 100 * value
    if share >= 99.95:
        return ">99.9 %"
    if share < 0.01:
        return "<0.01 %"
    return f"{share:.0f} %" if share >= 10 else f"{share:.1f} %" if share >= 1 else f"{share:.2f} %"


def score(value: float | None) -> str:
    """Four digits."""
    return "–" if value is None or value != value else f"{value:.4f}"


def percent(value: float | None) -> str:
    """A share in whole percent."""
    return "–" if value is None else f"{100 * value:.0f} %"


def count(value: int) -> str:
    """Thousands apart."""
    return f"{value:,}"


def told(error: Exception) -> str:
    """What a person reads of an error."""
    return str(error) if isinstance(error, DataError) else "Something went wrong; the terminal says more."
