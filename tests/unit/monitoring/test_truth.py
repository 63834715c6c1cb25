"""Truths count once, for the arm that answered, and groups are compared as an evaluation does."""

import json
import time

import numpy as np
import pytest

from tests.unit.monitoring.false_clock import FalseClock
from vitrail.basics.errors import InputError
from vitrail.measures.fairness_gaps import spread_of
from vitrail.monitoring.truth import MOST_VALUES, AnsweredRequest, Truths
from vitrail.monitoring.truth_figures import TruthSettings


@pytest.fixture
def clock() -> FalseClock:
    return FalseClock()


@pytest.fixture
def truths(clock) -> Truths:
    return Truths(clock)


def tell(truths: Truths, sex: str, right: int, n: int, *, arm: str = "a", attribute: str = "sex") -> None:
    for each in range(n):
        key = f"{arm}-{attribute}-{sex}-{each}"
        truths.remember(key, arm, "ant", {attribute: sex})
        assert truths.tell(key, "ant" if each < right else "bee") == "counted"


def test_a_truth_told_twice_counts_once_and_another_takes_its_place(truths) -> None:
    truths.remember("r1", "a", "ant")
    assert truths.tell("r1", "ant") == "counted"
    assert truths.tell("r1", "ant") == "unchanged"
    assert truths.window("a").accuracy.value == 1.0
    assert truths.tell("r1", "bee") == "replaced"
    assert truths.window("a").accuracy.value == 0.0 and truths.window("a").accuracy.n == 1


def test_a_truth_about_a_request_that_nobody_remembers_is_told_apart(truths) -> None:
    assert truths.tell("never asked", "ant") == "unknown"
    assert truths.unknown_count == 1
    assert truths.window("a").accuracy.value is None


def test_a_truth_counts_for_every_arm_that_answered_the_request(truths) -> None:
    truths.remember("r1", "stable", "ant")
    truths.remember("r1", "shadow", "bee")
    truths.remember("r1", "shadow", "bee")
    assert truths.tell("r1", "bee") == "counted"
    assert truths.window("stable").accuracy.value == 0.0
    assert (truths.window("shadow").accuracy.value, truths.window("shadow").accuracy.n) == (1.0, 1)


def test_a_window_is_of_the_truths_that_came_within_it(truths, clock) -> None:
    truths.remember("r1", "a", "ant")
    clock.go_on(7 * 86_400)
    truths.tell("r1", "ant")
    clock.go_on(300)
    assert truths.window("a", seconds=300).accuracy.n == 1
    clock.go_on(60)
    assert truths.window("a", seconds=300).accuracy.n == 0
    truths.tell("r1", "bee")  # it does not become younger by that
    assert truths.window("a", seconds=300).accuracy.n == 0


@pytest.mark.parametrize("seconds", [0, -1.0, 86_401])
def test_a_window_that_cannot_be_is_refused_in_words(truths, seconds) -> None:
    with pytest.raises(InputError) as refused:
        truths.window("a", seconds=seconds)
    assert str(refused.value) == (
        f"a window of {seconds:g} seconds was asked for\n"
        "hint: truths are counted in windows of up to 86,400 seconds"
    )  # fmt: skip


def test_groups_have_intervals_and_their_gap_is_newcombes(truths) -> None:
    tell(truths, "f", 56, 70)
    tell(truths, "m", 48, 80)
    found = truths.window("a")
    sex = found.attributes["sex"]
    assert found.accuracy.n == 150 and found.accuracy.value == 104 / 150
    assert sex.gap.text() == "20.0 % (5.2–33.4, n = 150)"
    assert (sex.highest, sex.lowest, sex.verdict) == ("f", "m", "not enough evidence")
    expected = spread_of(np.array([56, 48]), np.array([70, 80]), np.array([70.0, 80.0]), name="accuracy", margin=0.1)
    assert sex.gap == expected.difference
    as_json = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert as_json["attributes"]["sex"]["groups"]["f"]["n"] == 70
    assert as_json["attributes"]["sex"]["gap"]["interval"] == [sex.gap.low, sex.gap.high]


@pytest.mark.parametrize(
    ("right_f", "right_m", "verdict"),
    [(380, 280, "unfair"), (380, 372, "fair"), (380, 340, "not enough evidence")],
)
def test_verdicts_are_those_of_an_evaluation(truths, right_f, right_m, verdict) -> None:
    tell(truths, "f", right_f, 400)
    tell(truths, "m", right_m, 400)
    assert truths.window("a").attributes["sex"].verdict == verdict


def test_a_group_that_is_too_small_is_shown_and_not_compared(truths) -> None:
    tell(truths, "f", 19, 19)
    tell(truths, "m", 100, 200)
    sex = truths.window("a").attributes["sex"]
    assert sex.left_out == {"f": "only 19 answers with a truth, at least 20 needed"}
    assert sex.verdict == "not enough evidence" and sex.gap.value is None and sex.by_group["f"].value == 1.0
    assert sex.gap.undefined_because == "only one group is large enough, and a difference needs two"


def test_verdicts_account_for_the_number_of_attributes(clock) -> None:
    alone, among = Truths(clock), Truths(clock)
    for truths, attributes in ((alone, ["sex"]), (among, ["sex", "b", "c", "d", "e", "f", "g", "h"])):
        for attribute in attributes:
            tell(truths, "x", 380, 400, attribute=attribute)
            tell(truths, "y", 318 if attribute == "sex" else 380, 400, attribute=attribute)
    assert alone.window("a").attributes["sex"].verdict == "unfair"
    assert among.window("a").attributes["sex"].verdict == "not enough evidence"


def test_limits_are_settings(clock) -> None:
    truths = Truths(clock, TruthSettings.parse(least_group=5, fair_below=0.5))
    tell(truths, "f", 30, 30)
    tell(truths, "m", 30, 30)
    assert truths.window("a").attributes["sex"].verdict == "fair"


def test_attributes_and_values_are_bounded(truths) -> None:
    for each in range(MOST_VALUES + 5):
        tell(truths, f"site {each:02d}", 1, 30, attribute="site")
    site = truths.window("a").attributes["site"]
    assert len(site.by_group) == MOST_VALUES + 1 and site.by_group["(others)"].n == 150
    assert site.left_out["(others)"] == "these are several groups"
    for each in range(20):
        tell(truths, "x", 1, 1, attribute=f"attribute {each:02d}")
    assert len(truths.window("a").attributes) == 8


def test_the_latest_answers_are_remembered_and_no_more(clock) -> None:
    truths = Truths(clock, most_answers=100)
    for each in range(150):
        truths.remember(f"r{each}", "a", "ant")
    assert truths.tell("r49", "ant") == "unknown"
    assert truths.tell("r50", "ant") == "counted"
    for each in range(150):
        truths.remember(f"later {each}", "b", "ant", {"sex": "f"})
        truths.tell(f"later {each}", "bee" if each < 120 else "ant")
    assert truths.window("a").accuracy.n == 0
    assert (truths.window("b").accuracy.n, truths.window("b").accuracy.value) == (100, 0.3)


def test_ten_thousand_truths_are_judged_at_once(truths) -> None:
    for each in range(10_000):
        truths.remember(f"{each}", "a", "ant" if each % 3 else "bee", {"sex": "fm"[each % 2], "site": f"s{each % 7}"})
        truths.tell(f"{each}", "ant")
    start = time.perf_counter()
    assert truths.window("a").accuracy.n == 10_000
    assert time.perf_counter() - start < 0.5


def test_what_was_taken_and_could_not_be_written_is_taken_again_in_order(truths) -> None:
    truths.keep()
    truths.remember("r1", "a", "ant")
    truths.remember("r2", "a", "ant")
    assert truths.tell("r2", "ant") == "counted" and truths.tell("elsewhere", "ant") == "looked up"
    answers, told = truths.take_unwritten(1)
    assert [each.request_id for each in answers] == ["r1"] and told == {}  # a truth waits for its answer
    truths.give_back(answers, told)
    answers, told = truths.take_unwritten(10)
    assert [each.request_id for each in answers] == ["r1", "r2"] and set(told) == {"r2", "elsewhere"}
    truths.tell("r2", "bee")
    truths.give_back(answers, told)
    answers, told = truths.take_unwritten(10)
    assert told["r2"].truth == "bee"  # what is newer stays
    assert truths.unwritten_count() == 0


def test_nothing_of_the_user_is_remembered(truths) -> None:
    assert AnsweredRequest._fields == ("request_id", "at", "arm", "answer", "attributes")
    truths.remember("r\x00\udcff", "a", "ant")
    assert truths.tell("r\x00\udcff", "ant") == "counted"  # words that no database holds do not break it
