"""The application: routes, errors as pages, and the guard before them all."""

import secrets

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.page.arriving import MOST_UPLOAD_BYTES
from pipeline.page.doing import doing, fresh
from pipeline.page.guard import Guard, TooLargeError
from pipeline.page.looking import looking
from pipeline.page.page import HERE, Page, style

STATIC = {"page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}


def application(page: Page, host: str) -> Guard:
    """The page of a run, at `127.0.0.1:port`."""
    page.templates.globals["fresh"] = fresh

    def static(request: Request) -> Response:
        name = str(request.path_params["name"])
        headers = {"cache-control": "private, max-age=3600"}
        if name == "page.css":
            return Response(style(), media_type="text/css", headers=headers)
        if name not in STATIC:
            raise HTTPException(404, "There is no such file.")
        return Response((HERE / "static" / name).read_bytes(), media_type=STATIC[name], headers=headers)

    def wrong(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 413
        said = error.detail if isinstance(error, HTTPException) else "That is more than can be sent at once (2 GiB)."
        if request.headers.get("accept") == "application/json":
            return JSONResponse({"error": said}, status)
        return page.render(request, "wrong.html", status, view=None, said=said)

    async def gone(request: Request, error: Exception) -> Response:
        """A browser that left in the middle of a request."""
        return Response(status_code=400)

    inner = Starlette(
        routes=[*looking(page), *doing(page), Route("/static/{name}", static)],
        exception_handlers={HTTPException: wrong, TooLargeError: wrong, ClientDisconnect: gone},
    )
    return Guard(inner, host, secrets.token_urlsafe(24), {"/new": MOST_UPLOAD_BYTES})
