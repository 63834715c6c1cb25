"""The console in a real browser, over a real server under load: figures move, and a dropped image is answered."""

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.test_report_in_browser import browser as browser
from tests.serving import Server, file_of

WIDTHS = (1280, 390)
DROP = """([content, type]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "dropped", { type }));
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
}"""


@pytest.fixture(scope="module")
def load(server: Server) -> Iterator[None]:
    """Somebody else asks all the time."""
    ended = threading.Event()

    def ask() -> None:
        number = 0
        while not ended.wait(0.05):
            server.predict(file_of(number % 7), query=f"?user_id=u{number}")
            number += 1

    asking = threading.Thread(target=ask)
    asking.start()
    yield
    ended.set()
    asking.join()


@pytest.fixture(params=[(width, scheme) for width in WIDTHS for scheme in ("light", "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: Any, server: Server, load: None) -> Iterator[Any]:
    """The console; whatever the browser complains of fails the test."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.append(asked.url) if not _is_own(asked.url, server) else None)
    page.goto(f"{server.url}/")
    yield page
    assert complaints == []
    context.close()


def _is_own(url: str, server: Server) -> bool:
    return url.startswith((f"{server.url}/", "data:"))


def test_a_dropped_image_is_answered_with_its_attention_while_others_ask(page: Any) -> None:
    who = _dropped_until_answered_by(page, "ants")  # the ViT of the two

    assert page.inner_text("#verdict").rpartition(" · ")[0] in ("ant", "bee", "wasp")
    assert " ms" in who
    assert page.locator("#probabilities dt").count() == 3
    page.wait_for_selector("#looks .legend img")
    assert page.locator("#looks img").evaluate_all("images => images.map(each => each.naturalWidth > 0)") == [True] * 3
    assert "times an even share" in page.inner_text("#looks")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def _dropped_until_answered_by(page: Any, model: str) -> str:
    """The line that says who answered."""
    for seed in range(30):
        page.evaluate("document.getElementById('tried').hidden = true")
        page.evaluate(DROP, [base64.b64encode(file_of(seed)).decode(), "image/jpeg"])
        page.wait_for_selector("#tried:not([hidden])")
        who = str(page.inner_text("#who"))
        if who.startswith(f"By {model},"):
            return who
    raise AssertionError(f"{model} never answered, last: {who}")


@pytest.fixture
def wide_page(browser: Any, server: Server, load: None) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 844})
    page = context.new_page()
    page.goto(f"{server.url}/")
    yield page
    context.close()


def test_figures_move_and_what_a_reader_did_stays(wide_page: Any) -> None:
    before = wide_page.inner_text("#traffic")
    wide_page.locator("#cautions summary").nth(1).focus()
    wide_page.keyboard.press("Enter")
    wide_page.evaluate("scrollTo(0, 300)")
    wide_page.evaluate("document.querySelector('#cautions').dataset.old = 'yes'; shown.delete('cautions')")
    wide_page.wait_for_function("before => document.querySelector('#traffic').innerText !== before", arg=before)

    assert wide_page.locator("#cautions details").nth(1).get_attribute("open") is not None
    assert wide_page.evaluate("document.activeElement.textContent") == wide_page.locator("#cautions summary").nth(
        1
    ).evaluate("each => each.textContent")
    assert wide_page.evaluate("scrollY") == 300


def test_a_file_that_is_no_image_is_refused_in_words(wide_page: Any) -> None:
    wide_page.set_input_files("#file", {"name": "notes.png", "mimeType": "image/png", "buffer": b"no image"})
    wide_page.wait_for_selector("#verdict .refused")

    assert "is not an image" in wide_page.inner_text("#verdict")
    assert not wide_page.locator("#tried").is_visible()
    assert wide_page.get_attribute("#verdict", "aria-live") == "polite"


def test_a_lost_connection_is_said_and_so_is_that_it_is_back(wide_page: Any) -> None:
    wide_page.context.set_offline(True)
    wide_page.wait_for_selector("#connection.lost")
    assert wide_page.inner_text("#connection").startswith("no connection since ")
    wide_page.context.set_offline(False)
    wide_page.wait_for_selector("#connection", state="hidden")


def test_a_tab_that_nobody_sees_asks_nothing_until_it_is_seen_again(wide_page: Any) -> None:
    seen = (
        "hidden => {Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))}"
    )
    wide_page.evaluate(seen, True)
    asked: list[str] = []
    wide_page.on("request", lambda each: asked.append(each.url))
    wide_page.wait_for_timeout(2300)
    assert asked == []
    with wide_page.expect_request("**/console/live"):
        wide_page.evaluate(seen, False)


def test_the_keyboard_reaches_the_upload_and_shows_where_it_is(wide_page: Any) -> None:
    wide_page.focus("#file")

    assert wide_page.evaluate("getComputedStyle(document.getElementById('drop')).outlineStyle") == "solid"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_of_addresses_fits_and_its_first_command_works(
    browser: Any, server: Server, width: int, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(f"{server.url}/docs")
    command = page.inner_text("#predict pre")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
    (tmp_path / "photo.jpg").write_bytes(file_of(1))
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True)

    assert json.loads(done.stdout)["status"] == "success"
