"""Handlers that show: the list of patients, a patient, a lesion, two lesions side by side, and their pictures."""

from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from data.errors import DataError
from pipeline.explain.population import class_probability, truth
from pipeline.page.body import dots, outline
from pipeline.page.choice import PER_PAGE, SORTS, Choice, chosen_patients, offered
from pipeline.page.page import Page
from pipeline.page.patient import COMPONENTS, Look, look_at, meaning, nearest, standing_out, unit
from pipeline.page.pictures import LARGE_PX, SMALL_PX, jpeg
from pipeline.page.plane import plane_of
from pipeline.page.view import SITES, View
from pipeline.report.leads import finite

PLACE_COLUMNS = ("tbp_lv_location", *SITES)


def looking(page: Page) -> list[Route]:
    """The routes."""

    def start(request: Request) -> Response:
        first = next((key for key in ("training", "test") if key in page.opened.views), None)
        return RedirectResponse(f"{request.scope['root_path']}/{f'v/{first}/' if first else 'new'}", 303)

    def cohort(request: Request) -> HTMLResponse:
        view = page.view(request)
        choice = Choice.of(request.query_params, view)
        chosen, patients, lesions = chosen_patients(view, choice)
        listed = chosen.to_dicts()
        for one in listed:
            one["risk"] = view.risk(np.array([one["top"]]))[0]
            one["probability"] = finite(view.probability[one["top"]])
            one["image"] = view.has_image(one["top"])
        return page.render(
            request,
            "patients.html" if request.query_params.get("part") else "cohort.html",
            view=view,
            choice=choice,
            chosen=listed,
            patients=patients,
            lesions=lesions,
            pages=max(1, -(-patients // PER_PAGE)),
            sorts={key: value[0] for key, value in SORTS.items() if key != "age" or "age" in view.lesions.columns},
            offered=offered(view),
        )

    def levels(request: Request) -> Response:
        return JSONResponse(page.view(request).levels)

    def patient(request: Request) -> HTMLResponse:
        view = page.view(request)
        number = page.patient(request, view)
        look, marks = look_at(view, number), page.marks(view, number)
        table = view.cohort.table[look.rows]
        place = view.first_of(PLACE_COLUMNS)
        spots = dots(look.positions, [None] * len(table) if place is None else table[place].cast(str).to_list())
        return page.render(
            request,
            "patient.html",
            view=view,
            number=number,
            name=table[view.cohort.task.group][0],
            tiles=[tile(view, look, place, marks) for place in range(len(look.rows))],
            dots=spots,
            outline=outline(),
            facts=patient_facts(view, look),
            **plane_values(view, look, request),
        )

    def plane(request: Request) -> HTMLResponse:
        view = page.view(request)
        number = page.patient(request, view)
        look = look_at(view, number)
        risks = view.risk(look.rows)
        tiles = [
            {
                "place": i,
                "row": int(row),
                "risk": risks[i],
                "odd": bool(look.odd[i]),
                "lesion": view.lesions["lesion"][int(row)],
            }
            for i, row in enumerate(look.rows)
        ]
        return page.render(
            request, "plane.html", view=view, number=number, tiles=tiles, **plane_values(view, look, request)
        )

    def lesion(request: Request) -> HTMLResponse:
        view = page.view(request)
        row = page.row(view, int(request.path_params["row"]))
        number = int(view.lesions["patient"][row])
        look, marks = look_at(view, number), page.marks(view, number)
        place = int(np.flatnonzero(look.rows == row)[0])
        alike, beside = nearest(look, place)
        return page.render(
            request,
            "lesion.html",
            view=view,
            number=number,
            tile=tile(view, look, place, marks, most=6),
            near={"Most alike": named(view, look, alike, "sd"), "Nearest on the skin": named(view, look, beside, "mm")},
            facts=lesion_facts(view, row),
            said=said_of(view, row),
            measures=measures(look, [place]),
            truth=None if view.population is None else truth(view.population, row),
            kept=page.explainer.kept(view, row),
            before=int(look.rows[place - 1]) if place else None,
            after=int(look.rows[place + 1]) if place + 1 < len(look.rows) else None,
            explainable=view.population is not None,
        )

    def compare(request: Request) -> HTMLResponse:
        view = page.view(request)
        asked = request.query_params.getlist("row")[:2]
        if len(asked) != 2 or not all(one.isdecimal() for one in asked):
            raise HTTPException(400, f"Choose two {view.words['rows']} to compare.")
        rows = [page.row(view, int(one)) for one in asked]
        numbers = [int(view.lesions["patient"][row]) for row in rows]
        if numbers[0] != numbers[1]:
            raise HTTPException(400, f"Both must be of one {view.words['group']}.")
        look, marks = look_at(view, numbers[0]), page.marks(view, numbers[0])
        places = [int(np.flatnonzero(look.rows == row)[0]) for row in rows]
        return page.render(
            request,
            "compare.html",
            view=view,
            number=numbers[0],
            tiles=[tile(view, look, place, marks, most=6) for place in places],
            said=[said_of(view, row) for row in rows],
            facts=[lesion_facts(view, row) for row in rows],
            measures=measures(look, places),
        )

    def picture(request: Request) -> Response:
        view = page.view(request)
        row = page.row(view, int(request.path_params["row"]))
        try:
            name, content = jpeg(view, row, LARGE_PX if request.path_params["size"] == "large" else SMALL_PX)
        except DataError as error:
            raise HTTPException(404, str(error)) from error
        return cached(request, name, content, "image/jpeg")

    async def explained(request: Request) -> Response:
        from asyncio import wrap_future

        view = page.view(request)
        row = page.row(view, int(request.path_params["row"]))
        try:
            found = await wrap_future(page.explainer.ask(view, row))
        except DataError as error:
            return page.render(request, "explained.html", view=view, row=row, kept=None, error=str(error))
        return page.render(request, "explained.html", view=view, row=row, kept=found, error=None)

    def heat(request: Request) -> Response:
        view = page.view(request)
        row = page.row(view, int(request.path_params["row"]))
        try:
            content = page.explainer.heat_map(view, row, int(request.path_params["place"]))
        except DataError as error:
            raise HTTPException(404, str(error)) from error
        return cached(request, page.explainer.name_of(view, row), content, "image/png")

    return [
        Route("/", start),
        Route("/v/{view}/", cohort),
        Route("/v/{view}/levels.json", levels),
        Route("/v/{view}/p/{patient:int}", patient),
        Route("/v/{view}/p/{patient:int}/plane", plane),
        Route("/v/{view}/l/{row:int}", lesion),
        Route("/v/{view}/l/{row:int}/explained", explained),
        Route("/v/{view}/l/{row:int}/heat/{place:int}.png", heat),
        Route("/v/{view}/compare", compare),
        Route("/v/{view}/{size}/{row:int}.jpg", picture),
    ]


def cached(request: Request, name: str, content: bytes, kind: str) -> Response:
    """A picture, or word that the browser has it already."""
    headers = {"etag": f'"{name}"', "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def tile(view: View, look: Look, place: int, marks: dict[str, Any], most: int = 2) -> dict[str, Any]:
    """What a tile says of a lesion."""
    row = int(look.rows[place])
    name = str(view.lesions["lesion"][row])
    state = marks.get(name)
    return {
        "place": place,
        "row": row,
        "lesion": name,
        "probability": finite(view.probability[row]),
        "score": finite(view.score[row]),
        "risk": view.risk(look.rows[place : place + 1])[0],
        "image": view.has_image(row),
        "odd": bool(look.odd[place]),
        "outlier": float(look.outlier[place]),
        "uncertain": bool(view.lesions["uncertain"][row]),
        "stands_out": standing_out(look, place, most),
        "notes": look.notes[place] or "",
        "state": state.shown() if state else {"look": False, "seen": False, "notes": []},
    }


def named(view: View, look: Look, near: list[tuple[int, float]], measured_in: str) -> list[dict[str, Any]]:
    """Other lesions of the patient with how far they are."""
    return [tile(view, look, place, {}) | {"far": f"{far:.1f} {measured_in}"} for place, far in near]


def said_of(view: View, row: int) -> list[tuple[str, float | None]]:
    """What image models, members and the blend said."""
    return [(name, finite(class_probability(column, view.towards)[row])) for name, column in view.columns.items()]


def measures(look: Look, places: list[int]) -> list[dict[str, Any]]:
    """Every measurement of some lesions, the one that sets them apart most first."""
    strength = np.nan_to_num(np.abs(look.z[places])).max(axis=0) if len(look.names) else np.zeros(0)
    return [
        {
            "name": meaning(look.names[i]),
            "unit": unit(look.names[i]),
            "values": [finite(look.values[place, i]) for place in places],
            "z": [finite(look.z[place, i]) for place in places],
        }
        for i in np.argsort(-strength, kind="stable").tolist()
    ]


def plane_values(view: View, look: Look, request: Request) -> dict[str, Any]:
    """The plane that was asked for."""
    across, up = request.query_params.get("across", ""), request.query_params.get("up", "")
    found = plane_of(look, across, up)
    axes = {name: name.capitalize() for name in COMPONENTS} | {name: meaning(name) for name in look.names}
    return {
        "plane": found,
        "axes": axes,
        "across": across or COMPONENTS[0],
        "up": up or COMPONENTS[1],
        "legend": view.scale[1],
    }


def patient_facts(view: View, look: Look) -> list[tuple[str, str]]:
    """What is the same for all lesions of a patient."""
    table = view.cohort.table[look.rows]
    titles = {"age_approx": "age", "age": "age", "sex": "sex", "attribution": "institution"}
    values = [(title, table[name].drop_nulls().unique().to_list()) for name, title in titles.items() if name in table]
    return [
        (name, ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in some[:3]))
        for name, some in values
        if some
    ]


def lesion_facts(view: View, row: int) -> list[tuple[str, str]]:
    """Columns of words: where it is, how it was photographed."""
    seen = view.decision.seen
    table, names = view.cohort.table, [*seen.categories, *seen.others]
    hidden = {view.cohort.task.lesion, view.cohort.task.group, "copyright_license", "image_type"}
    return [
        (meaning(name), str(table[name][row]))
        for name in names
        if name in table.columns and name not in hidden and table[name][row] is not None
    ]
