"""Who may ask: a browser on this machine that was given the token, from this page, with no more than is allowed.

The token is exchanged for a cookie at the first visit and is gone from the address. The cookie goes to a path that
nobody can guess, because browsers send cookies of one port to every other port of the machine.
"""

import hmac
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "fusionnetx"
MOST_BYTES = 64 * 2**10
"""Of a request that is no upload."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
LEADS_ON = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>FusionNetX</title>'
    '<link rel="icon" href="{1}"><meta http-equiv="refresh" content="0;url={0}">'
    '<p><a href="{0}">To the page</a></p></html>'
)
LOST = "The page does not know you. Open it by the whole address that `fusionnetx page` printed when it started.\n"


class TooLargeError(Exception):
    """More bytes came than are allowed."""


class Guard:
    """Stands before the page."""

    def __init__(self, app: ASGIApp, host: str, token: str, most_bytes: Mapping[str, int]) -> None:
        self.app = app
        self.host = host
        """`127.0.0.1:port`, the only name by which the page may be asked for (others are attempts to rebind it)."""
        self.token = token
        self.base = "/" + secrets.token_hex(8)
        self.most_bytes = {self.base + path: most for path, most in most_bytes.items()}

    @property
    def address(self) -> str:
        """The whole address to open."""
        return f"http://{self.host}{self.base}/?token={self.token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, or answer."""
        if scope["type"] != "http":
            return
        answer = self.refusal(scope)
        if answer is not None:
            await answer(scope, receive, with_headers(send))
            return
        inside = {**scope, "root_path": self.base}
        await self.app(inside, bounded(receive, self.most(scope["path"])), with_headers(send))

    def refusal(self, scope: Scope) -> Response | None:
        """Why not; None for whom it may answer."""
        headers, path = Headers(scope=scope), scope["path"]
        if headers.getlist("host") != [self.host]:
            return PlainTextResponse(f"Ask for http://{self.host} alone.\n", 421)
        if not (path == self.base or path.startswith(self.base + "/")):
            return PlainTextResponse(LOST, 403)
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if given is not None:
            if not self.is_token(given[0]):
                return PlainTextResponse(LOST, 403)
            # A page that leads on, not a redirect: a browser that came from elsewhere keeps a strict cookie back there.
            inside = HTMLResponse(LEADS_ON.format(self.base + "/", self.base + "/static/icon.svg"))
            inside.set_cookie(COOKIE, self.token, path=self.base, httponly=True, samesite="strict")
            return inside
        if not self.is_token(cookie_of(headers)):
            return PlainTextResponse(LOST, 403)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("Not here.\n", 405)
        if scope["method"] == "POST" and headers.get("origin") != f"http://{self.host}":
            return PlainTextResponse("This came from another page.\n", 403)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > self.most(path):
            text = f"At most {self.most(path) / 2**20:,.2f} MiB can be sent at once.\n"
            return PlainTextResponse(text, 413, {"connection": "close"})
        return None

    def most(self, path: str) -> int:
        """Bytes that may be sent to an address."""
        return self.most_bytes.get(path, MOST_BYTES)

    def is_token(self, given: str) -> bool:
        """Compared in a time that tells nothing."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


def cookie_of(headers: Headers) -> str:
    """The token that the browser kept; empty where there is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def with_headers(send: Send) -> Send:
    """Every answer says what a browser may do with it."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending


def bounded(receive: Receive, most: int) -> Receive:
    """The same request, stopped where it grows beyond what is allowed, whatever length it stated."""
    left = most

    async def receiving() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise TooLargeError
        return message

    return receiving
