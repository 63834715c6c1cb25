"""The report as people meet it: opened from disk in a real browser, wide and narrow, without a network."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.unit.evaluation.realistic_report import figures_of, realistic_report
from vitrail.evaluation.report import write_report

CHROMIUM = Path("/usr/bin/chromium")
LONG = [f"a class with a rather long name, number {k}, of the collection of {'m' * 40}" for k in range(40)]
STORIES = {
    "two classes": (("ants", "bees"), 153),
    "twenty-five classes": ([f"species no. {k}" for k in range(25)], 700),
    "forty classes with long names": (LONG, 500),
    "hostile names": (["<script>document.title='taken over'</script>", "<img src=x onerror=alert(1)>"], 60),
}
LARGEST_ELEMENT_TEXT = """() => Math.min(...[...document.querySelectorAll('body *')]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
  .filter(e => !['TITLE', 'DESC', 'STYLE'].includes(e.tagName.toUpperCase()))
  .map(e => parseFloat(getComputedStyle(e).fontSize) * (e.ownerSVGElement
    ? e.ownerSVGElement.getBoundingClientRect().width / e.ownerSVGElement.viewBox.baseVal.width : 1)))"""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if not CHROMIUM.exists():
        if os.environ.get("VITRAIL_REQUIRE_BROWSER") == "1":
            pytest.fail(f"VITRAIL_REQUIRE_BROWSER=1, but there is no {CHROMIUM}")
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture(scope="module", params=STORIES, ids=list(STORIES))
def page_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    classes, n = STORIES[request.param]
    return write_report(_with_long_paths(classes, n), tmp_path_factory.mktemp("report"))


def _with_long_paths(classes: Sequence[str], n: int):
    report = realistic_report(classes, n=n, skill=1.5, title="photos of " + "x" * 120)
    for entry in figures_of(report, "most_wrong")["images"]:
        entry["path"] = "/data/" + "deep-folder-without-a-space/" * 12 + "0" * 200 + ".jpg"
    return report


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_fits_the_screen_asks_nothing_of_the_network_and_complains_of_nothing(
    browser, page_path: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page, complaints, requests = context.new_page(), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append("a dialog opened"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth") == width
    assert page.evaluate(LARGEST_ELEMENT_TEXT) >= 11
    assert page.title().startswith("photos of")
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [page_path.as_uri()]
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    context.close()
