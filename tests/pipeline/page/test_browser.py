"""The page in a real browser: from opening to the exported work list, new patients, keys alone, hostile names."""

import csv
import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import h5py
import polars as pl
import pytest

from tests.conftest import Once
from tests.pipeline.page.conftest import Served, Window

pytestmark = pytest.mark.slow
AXE = "axe-core@4.10.3"
HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "J\u00f6rg M\u00fc\u00dfig \U0001f9d1\u200d\u2695\ufe0f {{ 7 * 7 }}",
    "../../etc/passwd; drop table entries; --" + "x" * 210,
)


@pytest.fixture(scope="session")
def axe(once: Once) -> str:
    """The rules of axe-core, fetched for these tests; without them the test that needs them is skipped."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm to fetch axe-core")

    def fetch(folder: Path) -> None:
        subprocess.run(["npm", "pack", AXE, "--silent"], cwd=folder, capture_output=True, timeout=60, check=False)

    packed = next(once("axe", fetch).glob("*.tgz"), None)
    if packed is None:
        pytest.skip(f"npm could not fetch {AXE}")
    with tarfile.open(packed) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def violations(at: Any, axe: str) -> list[str]:
    """What axe-core finds, but for what it calls minor or moderate."""
    found = json.loads(at.evaluate(axe + "; axe.run().then((found) => JSON.stringify(found.violations))"))
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_from_opening_to_the_exported_work_list(window: Window, served: Served, axe: str):
    at = window.at
    found = []
    assert "token" not in at.url
    at.wait_for_selector(".person img")
    at.evaluate("document.querySelector('.person img').decode()")
    found += violations(at, axe)
    # The threshold moves, and the figures with it.
    before = at.inner_text("[data-figure=lesions]")
    at.locator("#level").fill("40")
    at.wait_for_url("**level=40**")
    assert at.inner_text("[data-figure=lesions]") != before
    level = served.page.opened.views["training"].levels[40]
    assert at.inner_text("[data-figure=lesions]") == f"{level['lesions']:,}"
    assert at.inner_text("[data-figure=sensitivity]") == f"{100 * level['sensitivity']:.0f} %"
    at.click(".person >> nth=0")
    at.wait_for_selector(".body .dot")
    found += violations(at, axe)
    # Hovering over a tile lights its dot.
    tile = at.locator(".tile").first
    row = tile.get_attribute("data-row")
    tile.hover()
    assert "lit" in at.locator(f".body .dot[data-row='{row}']").get_attribute("class")
    at.select_option(".axes [name=across]", index=3)
    at.wait_for_selector("#plane .scatter .dot")
    tile.locator("a").click()
    at.wait_for_selector("#explained .pushlist, #explained .note", timeout=90_000)
    assert at.locator("#explained .pushlist li").count() == 10
    assert at.locator("#explained img").count() == 2
    found += violations(at, axe)
    at.click("[data-kind=look]")
    at.fill("#note", "=1+1 <b>bold</b>")
    at.click("text=Keep the note")
    at.wait_for_selector("[data-notes] li")
    assert at.inner_text("[data-notes] li p") == "=1+1 <b>bold</b>"
    lesion = at.inner_text("h1")
    at.click("text=Work list >> nth=0")
    at.wait_for_selector("table.work")
    found += violations(at, axe)
    with at.expect_download() as download:
        at.click("text=Export as CSV")
    listed = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    (mine,) = (one for one in listed if one["lesion"] == lesion)
    assert mine["look_at"] == "1"
    assert "<b>bold</b>" in mine["notes"]
    assert not mine["notes"].startswith("=")
    at.click(f"[aria-label='Sheet of {mine['patient']}']")
    assert lesion in at.inner_text(".sheet")
    found += violations(at, axe)
    assert found == []


def test_two_windows_see_each_other(window: Window, served: Served):
    at = window.at
    row = int(served.page.opened.views["training"].rows_of(3)[0])
    address = f"http://{served.host}{served.base}/v/training/l/{row}"
    other = at.context.new_page()
    for one in (at, other):
        one.goto(address)
    at.click("[data-kind=look]")
    other.click("[data-kind=seen]")
    for number, one in enumerate((at, other)):
        one.fill("#note", f"note {number}")
        one.click("text=Keep the note")
    for one in (at, other):
        one.wait_for_selector("[data-notes] li >> nth=1")
        one.wait_for_selector(".marks [aria-pressed=true] >> nth=1")
        assert one.locator("[data-notes] li").count() == 2
    other.close()


def test_by_the_keyboard_alone(window: Window):
    at = window.at
    press, focused = at.keyboard.press, lambda: at.evaluate("document.activeElement.outerHTML")
    press("Tab")
    assert "skip" in focused()
    for _ in range(40):
        press("Tab")
        if 'class="person' in focused():
            break
    press("Enter")
    at.wait_for_selector(".tile")
    for _ in range(40):
        press("Tab")
        if 'id="tile-' in focused():
            break
    first = focused()
    press("ArrowRight")
    assert 'id="tile-' in focused() != first
    lit = at.evaluate("document.querySelectorAll('.body .dot.lit, .scatter .dot.lit').length")
    assert lit >= 1
    press("s")
    at.wait_for_selector(".tile [data-kind=seen][aria-pressed=true]")
    press("c")
    press("ArrowLeft")
    press("c")
    at.wait_for_url("**/compare?row=**")
    assert at.locator(".two section").count() == 2
    at.go_back()
    at.wait_for_selector(".tile")
    at.focus(".body .dot[tabindex='0']")
    press("ArrowRight")
    press("Enter")
    assert 'id="tile-' in focused()
    press("Enter")
    at.wait_for_selector("h1")
    assert "/l/" in at.url
    at.wait_for_selector("#explained .pushlist, #explained .note", timeout=90_000)


@pytest.fixture(scope="session")
def given(cohort_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of four patients with hostile names, and a zip file of their images."""
    folder = tmp_path_factory.mktemp("given")
    table = pl.read_csv(cohort_dir / "test-metadata.csv", infer_schema=False)[:12]
    names = [HOSTILE[row % 4] for row in range(12)]
    lesions = [HOSTILE[row] if row < 4 else name for row, name in enumerate(table["isic_id"])]
    with h5py.File(cohort_dir / "test-image.hdf5") as source, zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for name in table["isic_id"][4:]:
            archive.writestr(f"some folder/{name}.jpg", bytes(source[name][()]))
        archive.writestr("../../evil.jpg", b"no image")
    spelled = table.with_columns(pl.Series("patient_id", names), pl.Series("isic_id", lesions))
    spelled.write_csv(folder / "new patients.csv")
    spelled.select("isic_id").write_csv(folder / "short.csv")
    return folder


def test_new_patients_by_upload_with_hostile_names(window: Window, served: Served, given: Path, axe: str):
    at = window.at
    at.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    at.click(".top a[href$='/new']")
    assert violations(at, axe) == []
    # What `check` says of a table that will not do is said here.
    at.set_input_files("input[type=file] >> nth=0", [given / "short.csv"])
    at.click("text=Predict")
    at.wait_for_selector(".jobs .message", timeout=60_000)
    assert "patient_id" in at.inner_text(".jobs .message")
    at.set_input_files("input[type=file] >> nth=0", [given / "new patients.csv", given / "images.zip"])
    at.click("text=Predict")
    at.wait_for_selector(".jobs [data-state=done] h2 a", timeout=90_000)
    assert violations(at, axe) == []
    at.click(".jobs [data-state=done] h2 a")
    at.wait_for_selector(".person")
    assert sorted(at.locator(".person .name").all_inner_texts()) == sorted(HOSTILE)
    assert at.locator("script").count() == 1
    at.fill("[name=search]", "<script>")
    at.wait_for_url("**search=**")
    assert at.locator(".person").count() == 1
    at.click(".person")
    at.wait_for_selector(".tile")
    assert at.inner_text("h1") == HOSTILE[0]
    at.click(".tile a >> nth=0")
    at.fill("#note", HOSTILE[1])
    at.click("text=Keep the note")
    at.wait_for_selector("[data-notes] li")
    at.wait_for_selector("#explained .pushlist, #explained .note", timeout=90_000)
    at.click("text=Work list >> nth=0")
    assert HOSTILE[1] in at.inner_text(".words >> nth=-1")
    assert violations(at, axe) == []
    # Only what the upload's own form can be is in the folder: no name became a path.
    (folder,) = served.page.arrivals.folder.glob("new-*")
    assert {path.name for path in folder.iterdir()} <= {
        "table.csv", "images.zip", "scores.parquet", "columns.parquet", "answers.csv", "about.json",
    }  # fmt: skip
    answers = pl.read_csv(folder / "answers.csv")
    view = served.page.opened.views[folder.name]
    assert answers["score"].to_list() == pytest.approx(view.score.tolist())


def test_a_demo_patient_is_one_click_away(window: Window):
    at = window.at
    at.click(".top a[href$='/new']")
    at.click("text=Take a demo patient")
    at.wait_for_selector(".jobs h2 a:has-text('Demo patient')", timeout=120_000)
    at.click(".jobs h2 a:has-text('Demo patient')")
    at.wait_for_selector(".person img")
    assert at.locator(".person").count() == 1


@pytest.mark.parametrize("width", [390, 820, 2560])
def test_nothing_is_cut_off_at_any_width(window: Window, served: Served, width: int):
    at = window.at
    at.set_viewport_size({"width": width, "height": 900})
    row = int(served.page.opened.views["training"].rows_of(2)[0])
    for path in ("/v/training/", "/v/training/p/2", f"/v/training/l/{row}", "/new", "/work", "/v/training/p/2/sheet"):
        at.goto(f"http://{served.host}{served.base}{path}")
        assert at.evaluate("document.documentElement.scrollWidth") <= width, path
