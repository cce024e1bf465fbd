"""Nobody without the token sees anything, whatever they send."""

import http.client
import socket
from pathlib import Path

import pytest

from data.errors import DataError
from pipeline.page.guard import MOST_BYTES, Guard
from pipeline.page.serve import bound, leading_to
from tests.pipeline.page.conftest import Served


def test_the_token_is_exchanged_for_a_strict_cookie(served: Served):
    path = served.address.removeprefix(f"http://{served.host}")
    status, headers, said = served.ask(path, cookie="-")
    assert status == 200
    assert f"url={served.base}/" in said
    assert served.token not in said
    cookie = headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert f"path={served.base}" in cookie


@pytest.mark.parametrize("cookie", ["-", "fusionnetx=", "fusionnetx=wrong", "fusionnetx=\u00e4", "a=b; ;;=", "other=x"])
@pytest.mark.parametrize(
    "path", ["/", "/v/training/", "/work.csv", "/static/page.css", "/?token=wrong", "/v/x/small/0.jpg"]
)
def test_nothing_is_shown_without_the_token(served: Served, path: str, cookie: str):
    status, _, said = served.ask(served.base + path, cookie=cookie.encode().decode("latin-1"))
    assert status == 403
    assert "ISIC" not in said


@pytest.mark.parametrize("host", ["localhost", "evil.example", "127.0.0.1", "127.0.0.1:1", "[::1]", ""])
def test_another_name_is_refused(served: Served, host: str):
    assert served.ask(served.base + "/work", host=host)[0] in (400, 421)


@pytest.mark.parametrize("origin", ["-", "null", "http://evil.example", "http://127.0.0.1", "https://127.0.0.1"])
def test_other_pages_change_nothing(served: Served, origin: str):
    before = served.page.work.last()
    body = b"token=t1&view=training&row=0&kind=look&value=1"
    kind = "application/x-www-form-urlencoded"
    assert served.ask(served.base + "/marks", "POST", body, content_type=kind, origin=origin)[0] == 403
    assert served.page.work.last() == before


@pytest.mark.parametrize(
    "path",
    [
        "/../run.json",
        "/static/../../recipe.toml",
        "/static/..%2f..%2frun.json",
        "/static/%2fetc%2fpasswd",
        "/v/../p/0",
        "/v/new-000000000000/",
        "/v/training/p/-1",
        "/v/training/p/99999999",
        "/v/training/l/99999999999999999999",
        "/v/training/small/../../0.jpg",
        "/v/training/l/0/heat/99.png",
        "/v/training/compare?row=0",
        "/v/training/compare?row=0&row=x",
        "/new/..%2f..%2f.json",
    ],
)
def test_no_address_leads_out_of_the_page(served: Served, path: str):
    status, _, said = served.ask(served.base + path)
    assert status in (400, 404)
    assert "image_models" not in said
    assert "root:" not in said


def test_every_answer_says_what_a_browser_may_do(served: Served):
    for path in ("/", "/work", "/nowhere", "/static/page.js"):
        headers = served.ask(served.base + path)[1]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "cache-control" in headers
    assert "cache-control" in served.ask("/", cookie="-")[1]


def test_too_much_is_refused(served: Served):
    body = b"value=" + b"x" * (MOST_BYTES + 1)
    kind = "application/x-www-form-urlencoded"
    assert served.ask(served.base + "/marks", "POST", body, content_type=kind)[0] == 413
    assert served.ask(served.base + "/new", "POST", b"", content_length=str(2**40), content_type=kind)[0] == 413
    chunks = b"".join(b"4000\r\n" + b"x" * 0x4000 + b"\r\n" for _ in range(8)) + b"0\r\n\r\n"
    unstated = {"transfer_encoding": "chunked", "content_type": kind, "content_length": "-"}
    assert served.ask(served.base + "/marks", "POST", chunks, **unstated)[0] == 413


def test_the_token_is_not_among_the_words_a_browser_is_started_with(served: Served, tmp_path: Path):
    guard = Guard(lambda *_: None, served.host, "secret", {})  # type: ignore[arg-type, return-value]
    with leading_to(guard, tmp_path / "open.html") as file:
        assert "secret" not in file.as_uri()
        assert guard.address in file.read_text()
        assert file.stat().st_mode & 0o077 == 0
    assert not file.exists()


def test_other_methods_are_refused(served: Served):
    assert served.ask(served.base + "/work", "DELETE")[0] == 405
    assert served.ask(served.base + "/work", "PUT", b"x")[0] == 405


def test_it_listens_on_this_machine_alone(served: Served):
    port = int(served.host.partition(":")[2])
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
    names = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for name in names - {"127.0.0.1"}:
        connection = http.client.HTTPConnection(str(name), port, timeout=2)
        with pytest.raises(OSError):
            connection.request("GET", "/")
        connection.close()
    with pytest.raises(DataError, match="cannot be taken"):
        bound(port)
