"""Handlers that change something: marks and notes, and new patients; and what is taken away, CSV and printed sheet."""

import csv
import io
import secrets
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from data.errors import DataError
from pipeline.page.arriving import MOST_FILES, TABLES, Sent
from pipeline.page.looking import tile
from pipeline.page.page import Page
from pipeline.page.patient import look_at
from pipeline.page.work_list import Entry, State

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet."""


def doing(page: Page) -> list[Route]:
    """The routes."""

    async def mark(request: Request) -> Response:
        from anyio.to_thread import run_sync

        form = await request.form(max_files=0, max_fields=10)
        said = {name: str(value) for name, value in form.items()}
        view = page.opened.views.get(said.get("view", ""))
        if view is None or not said.get("row", "").isdecimal():
            raise HTTPException(404, "There is no such lesion.")
        row = page.row(view, int(said["row"]))
        names = view.lesions["name"][row], view.lesions["lesion"][row]
        if said.get("kind") == "note" and not said.get("value", "").strip():
            raise HTTPException(400, "The note is empty.")
        entry = Entry(said.get("token", ""), view.key, *names, said.get("kind", ""), said.get("value", "").strip())
        try:
            state = await run_sync(page.work.add, entry)
        except DataError as error:
            raise HTTPException(400, str(error)) from error
        if request.headers.get("accept") == "application/json":
            return JSONResponse({"row": row, **state.shown()})
        return RedirectResponse(f"{request.scope['root_path']}/v/{view.key}/l/{row}", 303)

    def marks(request: Request) -> Response:
        """What is marked of a patient: other windows ask now and then."""
        view = page.view(request)
        found = page.marks(view, page.patient(request, view))
        look = look_at(view, page.patient(request, view))
        lesions = {str(view.lesions["lesion"][int(row)]): int(row) for row in look.rows}
        return JSONResponse([{"row": lesions[name], **one.shown()} for name, one in found.items() if name in lesions])

    def work(request: Request) -> HTMLResponse:
        return page.render(request, "work.html", view=None, listed=listed(page))

    def export(request: Request) -> Response:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["table", "patient", "lesion", "look_at", "seen", "probability", "notes"])
        for one in listed(page):
            state: State = one["state"]
            notes = "; ".join(f"{at}: {note}" for at, note in (state.notes or {}).values())
            cells = [
                one["title"],
                state.patient,
                state.lesion,
                int(state.look),
                int(state.seen),
                one["probability"],
                notes,
            ]
            writer.writerow([plain(cell) for cell in cells])
        headers = {"content-disposition": 'attachment; filename="work-list.csv"'}
        # The mark by which Excel knows UTF-8.
        return Response("\ufeff" + text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)

    def sheet(request: Request) -> HTMLResponse:
        view = page.view(request)
        number = page.patient(request, view)
        look, marks = look_at(view, number), page.marks(view, number)
        tiles = [tile(view, look, place, marks, most=3) for place in range(len(look.rows))]
        wanted = [one for one in tiles if one["state"]["look"] or one["state"]["seen"] or one["state"]["notes"]]
        name = view.lesions["name"][int(look.rows[0])]
        return page.render(request, "sheet.html", view=view, number=number, name=name, tiles=wanted, lesions=len(tiles))

    def new(request: Request) -> HTMLResponse:
        return page.render(
            request, "new.html", view=None, jobs=list(page.arrivals.jobs.values())[::-1], error=None, tables=TABLES
        )

    async def give(request: Request) -> Response:
        from anyio.to_thread import run_sync

        async with request.form(max_files=MOST_FILES, max_fields=4) as form:
            sent: Sent = [
                (one.filename, one.file) for one in form.getlist("files") if not isinstance(one, str) and one.filename
            ]
            demo = form.get("demo") == "1"
            try:
                job = await run_sync(page.arrivals.demo) if demo else await run_sync(page.arrivals.receive, sent)
            except DataError as error:
                if request.headers.get("accept") == "application/json":
                    return JSONResponse({"error": str(error)}, 400)
                jobs = list(page.arrivals.jobs.values())[::-1]
                return page.render(request, "new.html", 400, view=None, jobs=jobs, error=str(error), tables=TABLES)
        if request.headers.get("accept") == "application/json":
            return JSONResponse({"key": job.key})
        return RedirectResponse(f"{request.scope['root_path']}/new", 303)

    def progress(request: Request) -> Response:
        job = page.arrivals.jobs.get(request.path_params["key"])
        if job is None:
            raise HTTPException(404, "There are no such patients.")
        return JSONResponse(vars(job))

    async def forget(request: Request) -> Response:
        from anyio.to_thread import run_sync

        await run_sync(page.arrivals.forget, request.path_params["key"])
        return RedirectResponse(f"{request.scope['root_path']}/new", 303)

    return [
        Route("/marks", mark, methods=["POST"]),
        Route("/v/{view}/p/{patient:int}/marks.json", marks),
        Route("/v/{view}/p/{patient:int}/sheet", sheet),
        Route("/work", work),
        Route("/work.csv", export),
        Route("/new", new),
        Route("/new", give, methods=["POST"]),
        Route("/new/{key}.json", progress),
        Route("/new/{key}/forget", forget, methods=["POST"]),
    ]


def listed(page: Page) -> list[dict[str, Any]]:
    """Everything that is marked or noted; of tables that are open, with where to find it."""
    found = []
    for state in page.work.states().values():
        if not (state.look or state.seen or state.notes):
            continue
        view = page.opened.views.get(state.view)
        row = None if view is None else row_of(view, state.lesion)
        found.append(
            {
                "state": state,
                "title": state.view if view is None else view.title,
                "row": row,
                "number": None if view is None or row is None else int(view.lesions["patient"][row]),
                "probability": None if view is None or row is None else float(view.probability[row]),
                "image": view is not None and row is not None and view.has_image(row),
            }
        )
    return sorted(found, key=lambda one: (one["title"], one["state"].patient, -(one["probability"] or 0)))


def row_of(view: Any, lesion: str) -> int | None:
    """The row of a lesion; None where the table has none of that name."""
    found = view.lesions["lesion"].index_of(lesion)
    return None if found is None else int(found)


def plain(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    if cell is None:
        return ""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def fresh() -> str:
    """A token for a form that is sent without a script."""
    return secrets.token_hex(8)
