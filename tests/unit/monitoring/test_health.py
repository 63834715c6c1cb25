"""Verdicts on an arm come with the numbers that they rest on."""

import pytest

from vitrail.basics.errors import SettingsError
from vitrail.monitoring.health import Health, HealthLimits, judged_health
from vitrail.monitoring.tally import Outcome, Tally
from vitrail.monitoring.window_figures import window_figures


def health(*outcomes: tuple[Outcome, int], seconds: float = 300.0, **limits: float | int) -> Health:
    tally = Tally()
    for outcome, times in outcomes:
        for _ in range(times):
            tally.count(outcome)
    return judged_health(
        window_figures(tally, seconds=seconds, covered_seconds=seconds), HealthLimits.parse(**limits)
    )  # fmt: skip


QUICK, SLOW, FAILED = Outcome("success", 0.0421), Outcome("success", 1.52), Outcome("failure")


@pytest.mark.parametrize(
    ("outcomes", "status", "reason"),
    [
        ([], "unknown", "no requests within the last 5 minutes"),
        ([(QUICK, 1)], "unknown", "only 1 request within the last 5 minutes; a verdict needs 20"),
        ([(FAILED, 19)], "unknown", "only 19 requests within the last 5 minutes; a verdict needs 20"),
        (
            [(QUICK, 200)], "healthy",
            "200 of 200 requests answered within the last 5 minutes (100.0 %); 95 of 100 answers took up to 42.2 ms",
        ),
        (
            [(QUICK, 94), (SLOW, 6)], "degraded",
            "95 of 100 answers took up to 1.52 s, the limit is 1 s; "
            "100 of 100 requests answered within the last 5 minutes (100.0 %)",
        ),
        (
            [(QUICK, 189), (FAILED, 11)], "unhealthy",
            "189 of 200 requests answered within the last 5 minutes (94.5 %); at least 95 % are needed",
        ),
        (
            [(FAILED, 20)], "unhealthy",
            "0 of 20 requests answered within the last 5 minutes (0.0 %); at least 95 % are needed",
        ),
    ],
)  # fmt: skip
def test_every_verdict_says_its_numbers(outcomes, status, reason) -> None:
    found = health(*outcomes)
    assert found == Health(status, reason)
    assert found.as_json() == {"status": status, "reason": reason}


def test_at_the_limit_an_arm_is_well() -> None:
    assert health((QUICK, 95), (FAILED, 5)).status == "healthy"
    assert health((QUICK, 95), (SLOW, 5)).status == "healthy"


def test_one_that_fails_and_is_slow_is_unhealthy() -> None:
    assert health((SLOW, 90), (FAILED, 10)).status == "unhealthy"


def test_answers_in_anothers_stead_are_answers() -> None:
    assert health((Outcome("fallback_success", 0.1), 30)).status == "healthy"


def test_an_arm_without_times_is_judged_by_its_answers_alone() -> None:
    assert health((Outcome("success"), 30)).reason == "30 of 30 requests answered within the last 5 minutes (100.0 %)"


def test_a_model_that_cannot_answer_is_unhealthy_whatever_the_figures_say() -> None:
    figures = window_figures(Tally(), seconds=300.0, covered_seconds=300.0)
    down = judged_health(figures, HealthLimits(), down_because="its process was killed 3 s ago")
    assert down == Health("unhealthy", "its process was killed 3 s ago")


def test_limits_can_be_set_and_are_checked() -> None:
    assert health((QUICK, 9), (FAILED, 1), least_success_rate=0.9, least_requests=10, seconds=60.0).reason == (
        "9 of 10 requests answered within the last minute (90.0 %); 95 of 100 answers took up to 42.2 ms"
    )
    assert health((QUICK, 30), most_p95_seconds=0.01).status == "degraded"
    with pytest.raises(SettingsError, match="least_success_rate"):
        HealthLimits.parse(least_success_rate=95)
