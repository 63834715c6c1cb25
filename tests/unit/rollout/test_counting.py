"""What servers have counted becomes what a tick looks at, and nothing is counted for the wrong arm."""

from vitrail.monitoring.tally import Outcome, Tally
from vitrail.rollout.counting import KeptAnswer, arm_counts, paired_answers
from vitrail.rollout.evidence import ClassPairs


def test_answers_in_another_arms_stead_are_no_requests_of_its_own_and_what_was_refused_is_none_at_all() -> None:
    tally = Tally()
    for outcome in ("success", "success", "failure", "fallback_success", "refused"):
        tally.count(Outcome(outcome, seconds=0.02))
    answers = [KeptAnswer(name, "canary", "ant", truth) for name, truth in (("1", "ant"), ("2", "bee"), ("3", None))]
    found = arm_counts(tally, answers)
    assert (found.requests, found.failures, found.judged, found.wrong) == (3, 1, 2, 1)
    assert sum(found.times.values()) == 3


def test_answers_to_the_same_request_are_paired_by_class_and_others_left_out() -> None:
    answers = [
        KeptAnswer("1", "stable", "ant", "ant"), KeptAnswer("1", "shadow", "ant", "ant"),
        KeptAnswer("2", "shadow", "bee", "bee"), KeptAnswer("2", "stable", "ant", "bee"),
        KeptAnswer("3", "stable", "bee", "bee"), KeptAnswer("3", "shadow", "ant", "bee"),
        KeptAnswer("4", "stable", "bee"), KeptAnswer("4", "shadow", "ant"),
        KeptAnswer("5", "stable", "bee", "bee"), KeptAnswer("6", "shadow", "ant"),
    ]  # fmt: skip
    found = paired_answers(answers, shadow="shadow", classes=["ant", "bee", "wasp"])
    assert (found.pairs, found.agree, found.judged, found.fixed, found.broken) == (4, 1, 3, 1, 1)
    assert found.by_class == {
        "ant": ClassPairs(2, 1, 1, 0, 0), "bee": ClassPairs(2, 0, 2, 1, 1), "wasp": ClassPairs()
    }  # fmt: skip


def test_a_request_id_that_was_used_twice_is_one_pair() -> None:
    twice = [KeptAnswer("1", "stable", "ant"), KeptAnswer("1", "stable", "bee"), KeptAnswer("1", "shadow", "bee")]
    assert paired_answers(twice, shadow="shadow", classes=["ant", "bee"]).pairs == 1
