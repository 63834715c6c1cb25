"""The console without a server: what panels say of made-up figures, and that nothing in them is taken for markup."""

import asyncio
import re
from html import unescape

import pytest
from starlette.requests import Request

from tests.unit.serving.made_up_service import FACTS, count, made_up_service
from vitrail.prediction.answers import UNLIKE
from vitrail.serving.console import charts
from vitrail.serving.console.drift import EXPECTED_UNLIKE
from vitrail.serving.console.pages import PANELS, Console
from vitrail.serving.console.panels import Panel
from vitrail.serving.console.view import View
from vitrail.serving.feedback import ToldTruth
from vitrail.serving.service import Service
from vitrail.traffic.routes import Arm

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
ARMS = (
    Arm("ants", "ants", weight=80.0), Arm("bees", "bees", weight=20.0), Arm("next", "ants", "canary", share=0.1),
    Arm("as-now", "ants", "control", share=0.1), Arm("quiet", "bees", "shadow", share=0.5),
)  # fmt: skip


def text_of(html: str) -> str:
    """Words without markup, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def panel(name: str, service: Service, seconds: int = 300) -> str:
    return next(each for each in PANELS if each.name == name).html(View(service, seconds))


def words(name: str, service: Service, seconds: int = 300) -> str:
    return text_of(panel(name, service, seconds))


def request(path: str, query: str = "") -> Request:
    return Request({"type": "http", "method": "GET", "path": path, "headers": [], "query_string": query.encode()})


@pytest.mark.parametrize("each", PANELS, ids=lambda each: each.name)
def test_every_panel_has_words_before_the_first_model_is_there(each: Panel) -> None:
    assert len(text_of(each.html(View(made_up_service())))) > len(each.title) + 5


@pytest.mark.parametrize("each", PANELS, ids=lambda each: each.name)
def test_every_panel_has_words_while_models_are_loaded_and_before_the_first_request(each: Panel) -> None:
    assert each.html(View(made_up_service(ARMS, facts=None)))
    assert each.html(View(made_up_service(ARMS)))


def test_shares_are_those_of_all_traffic() -> None:
    said = words("models", made_up_service(ARMS, fallback=("bees", "ants")))

    assert "ants stable 64.0 % weight 80" in said and "bees stable 16.0 % weight 20" in said
    assert "next canary 10.0 %" in said and "as-now control 10.0 %" in said and "quiet shadow copies of 50.0 %" in said
    assert "asked in this order: bees, ants" in said
    assert "version 0123456789ab" in said and "2 classes, 48 × 48 pixels" in said


def test_traffic_tells_success_with_its_interval_times_and_what_was_refused() -> None:
    service = made_up_service(ARMS)
    count(service, "ants", 98)
    count(service, "ants", 2, "failure")
    count(service, "bees", 3, "fallback_success")
    count(service, "bees", 4, "refused")
    said = words("traffic", service)

    assert "Within the last 5 minutes" in said
    assert re.search(r"ants 100 \S+ / s 98.0 % 93.0–99.4 20 ms 20 ms 20 ms 0 2 0", said), said
    assert re.search(r"bees 3 \S+ / s 100.0 % \S+ 20 ms 20 ms 20 ms 3 0 4", said), said
    assert "Within the last minute" in words("traffic", service, 60)


def test_figures_of_an_arm_that_is_served_no_more_are_still_shown() -> None:
    service = made_up_service(ARMS)
    count(service, "earlier", 5)

    assert "earlier (not served now) 5" in words("traffic", service)


def test_health_says_why_and_what_is_wrong_with_the_server() -> None:
    service = made_up_service(ARMS)
    count(service, "ants", 50, "failure")
    service.problem, service.draining = "revision 2 is not in force here: bees could not be loaded", True
    said = words("health", service)

    assert "ants unhealthy stable, 64.0 % 0 of 50 requests answered" in said
    assert "bees unknown" in said
    assert "revision 2 is not in force here: bees could not be loaded" in said
    assert "This server is ending" in said
    assert "Figures end with this server (--state none)." in said


def test_charts_share_one_scale_and_describe_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "SHORTEST_POINT", 0.0)
    service = made_up_service(ARMS)
    count(service, "ants", 40)
    count(service, "bees", 7, "failure")
    html = panel("charts", service)

    assert html.count('class="live-chart"') == 3 * (len(ARMS) + 1)
    assert html.count('<small class="top">10</small>') == len(ARMS) + 1  # failures, of which there were 7
    assert 'aria-label="failures: now 7, highest 7"' in html


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"seen": 0}, "nothing can be said yet no image has come since the model was loaded"),
        ({"seen": 400, "unlike": 20, "p_value": 0.43, "changed": False}, "like the known images so far p = 0.430"),
        ({"seen": 400, "unlike": 300, "p_value": 1e-9, "changed": True}, "changed (p < 0.001)"),
    ],
)
def test_drift_says_whether_images_have_changed(state: dict, said: str) -> None:
    service = made_up_service(ARMS[:1])
    service.shift["ants"] = state

    assert said in words("drift", service)


def test_drift_says_why_a_package_cannot_tell_and_what_is_usual() -> None:
    service = made_up_service(ARMS[:1], facts={**FACTS, "knows_its_images": False, "why_no_reference": "none was made"})

    assert "the package does not say what it knows none was made" in words("drift", service)
    assert EXPECTED_UNLIKE == UNLIKE


def test_truth_is_asked_for_until_it_comes_and_shown_by_group_then() -> None:
    service = made_up_service(ARMS[:2])
    assert "No truth has come back within the last 5 minutes" in words("truth", service)
    for number in range(60):
        service.counting.answered(f"r{number}", "ants", "ant", {"sex": "F" if number % 2 else "M"})
        asyncio.run(service.state.take_truth(ToldTruth(f"r{number}", "ant" if number % 4 else "bee")))
    said = words("truth", service)

    assert "ants right: 75.0 % (62.8–84.2, n = 60)" in said
    assert "By sex: M 50.0 points below F" in said
    assert "F 100.0 %" in said.replace("100 %", "100.0 %")


def test_breakers_say_who_is_left_alone_why_and_for_how_long() -> None:
    service = made_up_service(ARMS)
    for _ in range(service.settings.breakers.failures_to_open):
        permit = service.breakers.admitted("bees")
        assert permit is not None
        permit.failed("its process was killed")
    said = words("breakers", service)

    assert re.search(r"bees left alone; in \d+ s one request tries it again its process was killed", said), said
    assert "ants is asked" in said


def test_last_errors_are_those_of_arms_models_and_the_server_newest_first() -> None:
    service = made_up_service(ARMS)
    for source in ("next", "bees", "bees", "(routes)", "(server)"):
        service.errors.add(source, "kind", f"of {source}")
    said = words("errors", service)

    assert "bees kind, 2 times of bees" in said

    places = [said.index(f"of {source}") for source in ("(server)", "(routes)", "bees", "next")]
    assert places == sorted(places)


def test_cautions_are_those_that_the_classes_ask_for() -> None:
    service = made_up_service(ARMS, facts={**FACTS, "classes": ["benign", "malignant"]})

    assert "A diagnosis without a doctor" in words("cautions", service)
    assert "a class is called “benign”" in words("cautions", service)


def test_what_comes_from_outside_is_never_markup() -> None:
    service = made_up_service(
        (Arm("ants", "ants", weight=1.0),), note=HOSTILE,
        facts={**FACTS, "classes": [HOSTILE], "runtime": HOSTILE, "device": HOSTILE},
    )  # fmt: skip
    count(service, HOSTILE, 5, answer=HOSTILE)
    count(service, "ants", 5, answer=HOSTILE)
    service.errors.add("ants", HOSTILE, HOSTILE)
    service.problem = HOSTILE
    service.counting.answered("r", "ants", HOSTILE, {HOSTILE: HOSTILE})
    asyncio.run(service.state.take_truth(ToldTruth("r", HOSTILE)))
    permit = service.breakers.admitted("ants")
    assert permit is not None
    permit.failed(HOSTILE)
    for each in PANELS:
        html = each.html(View(service))
        assert "<script" not in html and "<img" not in html, each.name
    assert "&lt;script&gt;" in panel("answers", service)


def test_names_of_models_that_no_revision_of_routes_lets_in_are_still_escaped_in_labels_of_charts() -> None:
    service = made_up_service(ARMS)
    count(service, '" onload="alert(1)', 5)

    assert ' onload="' not in panel("charts", service).replace("&#34; onload=&#34;", "")


def test_a_panel_that_fails_says_so_in_its_place_and_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_view: View) -> str:
        raise ValueError("made up")

    console = Console(made_up_service(ARMS), [Panel("broken", "Broken", broken), *PANELS])

    async def twice() -> str:
        await console.live(request("/console/live", "window=60"))
        return bytes((await console.live(request("/console/live"))).body).decode()

    html = asyncio.run(twice())
    assert "This panel cannot be drawn" in text_of(html)
    assert "Health" in text_of(html)
    assert [record.exc_text is None or "made up" in record.exc_text for record in caplog.records] == [True]


def test_a_panel_that_is_handed_in_is_shown_beside_the_others() -> None:
    rollout = Panel("rollout", "Rollout", lambda view: f"<p>stage of {len(view.arms)} arms</p>", beside=True)
    console = Console(made_up_service(ARMS), [*PANELS, rollout])
    page = bytes(asyncio.run(console.page(request("/"))).body).decode()

    assert "stage of 5 arms" in page
    assert 'href="#rollout"' in page
    assert page.index('class="beside"') < page.index("stage of 5 arms")


def test_ten_consoles_that_are_looked_at_at_once_cost_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    panel = Panel("counted", "Counted", lambda view: drawn.append(view.seconds) or "")
    console = Console(made_up_service(ARMS), [panel])

    async def ten() -> None:
        await asyncio.gather(*(console.live(request("/console/live")) for _ in range(10)))

    asyncio.run(ten())
    assert drawn == [300]


@pytest.mark.parametrize(("query", "seconds"), [("", 300), ("window=60", 60), ("window=3600", 3600), ("window=7", 300)])
def test_the_window_is_one_of_three(query: str, seconds: int) -> None:
    seen = []
    console = Console(made_up_service(ARMS), [Panel("seen", "Seen", lambda view: seen.append(view.seconds) or "")])
    page = bytes(asyncio.run(console.page(request("/", query))).body).decode()

    assert seen == [seconds]
    assert f'href="?window={seconds}" aria-current="true"' in page


def test_the_page_asks_nothing_of_others_and_its_script_stays_small() -> None:
    console = Console(made_up_service(ARMS))
    page = bytes(asyncio.run(console.page(request("/"))).body).decode()
    script = bytes(asyncio.run(console.script(request("/console.js"))).body).decode()

    assert not re.search(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""", page)
    assert "http://" not in script and "https://" not in script and "innerHTML =" not in script
    assert len(script.splitlines()) < 150
