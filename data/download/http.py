"""Requests to a server that may be slow, busy or gone: what is worth another try, and what is not.

Standard library only. Only the network is tried again: a disk that is full stays full.
"""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from data.errors import DataError

TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""Answers of a server that is busy or out of order for the moment."""
NOT_SATISFIABLE = 416
GIVES_RANGES = 206
"""Answers about parts of files: there is no such part, here it is."""

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for."""

    tries: int = 6
    """Tries without any progress before it is given up."""
    first_wait_s: float = 1.0
    """Before the second try; twice as long before every further one."""
    timeout_s: float = 60.0
    """Without a single byte."""

    def wait(self, failures: int) -> None:
        """Wait after so many failures in a row."""
        time.sleep(self.first_wait_s * 2 ** (failures - 1))


@dataclass(frozen=True)
class Stated:
    """What a server states of a file before sending it."""

    size: int
    tag: str
    """Its ETag, else when it was last changed; empty when the server states neither."""


class LostError(Exception):
    """The connection broke, or the server was out of order; worth another try."""


class ChangedError(Exception):
    """The server does not send what it stated: another file, or another size."""


def stated(url: str, patience: Patience) -> Stated:
    """Ask for size and tag; DataError when the server does not say how large the file is."""

    def ask() -> Stated:
        with request(url, patience, method="HEAD") as response:
            return stated_in(response, url)

    return patiently(url, patience, ask)


def stated_in(response: http.client.HTTPResponse, url: str) -> Stated:
    """Size and tag of the whole file, as an answer states them."""
    place = response.headers.get("Content-Range", "")
    size = place.rpartition("/")[2] if response.status == GIVES_RANGES else response.headers.get("Content-Length", "")
    if not size.isdecimal():
        raise DataError(f"{url}: the server does not say how large the file is, so it cannot be checked.")
    return Stated(int(size), response.headers.get("ETag") or response.headers.get("Last-Modified") or "")


def first_byte(response: http.client.HTTPResponse) -> int:
    """Where in the file an answer begins."""
    if response.status != GIVES_RANGES:
        return 0
    place = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if not place.isdecimal():
        raise ChangedError("it does not say which part of the file it sends")
    return int(place)


@contextmanager
def request(
    url: str, patience: Patience, *, method: str = "GET", start: int = 0, stop: int | None = None, tag: str = ""
) -> Iterator[http.client.HTTPResponse]:
    """An open answer; of the bytes from `start` on (up to `stop`), or of the whole where the file's tag has changed."""
    headers = {"User-Agent": "fusionnetx", "Accept-Encoding": "identity"}
    if start or stop is not None:
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        # A weak tag says that the content is much the same, which is not enough to join two halves.
        if tag and not tag.startswith("W/"):
            headers["If-Range"] = tag
    with network(url):
        response = urllib.request.urlopen(
            urllib.request.Request(url, method=method, headers=headers), timeout=patience.timeout_s
        )
    with response:
        yield response


@contextmanager
def network(url: str) -> Iterator[None]:
    """Turn the failures of a connection into `LostError`, or into a DataError when another try is of no use."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == NOT_SATISFIABLE:
            raise ChangedError("it is shorter than it was") from error
        if error.code in TRY_AGAIN:
            raise LostError(f"the server answers {error.code} {one_line(error.reason)}") from error
        raise DataError(f"{url}: the server answers {error.code} {one_line(error.reason)}.") from error
    except (OSError, http.client.HTTPException) as error:
        raise LostError(one_line(getattr(error, "reason", error)) or type(error).__name__) from error
    except ValueError as error:  # an address without http
        raise DataError(f"{url} is not an address that can be fetched ({error}).") from error


def one_line(reason: object) -> str:
    """What a server says, which may be anything."""
    return " ".join(str(reason).split())[:200]


def patiently(url: str, patience: Patience, ask: Callable[[], T]) -> T:
    """What `ask` returns, tried again while the connection breaks."""
    failures = 0
    while True:
        try:
            return ask()
        except (LostError, ChangedError) as error:
            failures += 1
            if failures == patience.tries:
                raise given_up(url, error, failures) from error
            patience.wait(failures)


def given_up(url: str, error: Exception, failures: int) -> DataError:
    """The one message about a server that does not send the file."""
    times = "once" if failures == 1 else f"{failures} times"
    return DataError(
        f"{url} could not be fetched, tried {times}: {error}. Check the connection; the same command goes on from here."
    )
