import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from vitrail.basics.errors import InputError
from vitrail.basics.run_folder import RunFolder
from vitrail.prediction.predictor import Predictor
from vitrail.rollout.admission import all_gates
from vitrail.rollout.admission.edge_cases import edge_cases_gate, edge_pictures
from vitrail.rollout.admission.gates import Gate
from vitrail.rollout.admission.group_gate import group_floors_gate
from vitrail.rollout.admission.memory_probe import peak_bytes
from vitrail.rollout.admission.policy import AdmissionPolicy
from vitrail.rollout.admission.quality_gates import (
    calibration_gate,
    class_floors_gate,
    classes_gate,
    negative_flips_gate,
    nobody_loses_gate,
    non_inferiority_gate,
    threshold_gate,
)
from vitrail.rollout.admission.regression_gates import adversarial_gate, shift_gate
from vitrail.rollout.admission.speed import ROUNDS, WARM_UP, speed_gate

QUALITY = [
    classes_gate, threshold_gate, non_inferiority_gate, negative_flips_gate, class_floors_gate, nobody_loses_gate,
    calibration_gate,
]  # fmt: skip
DEFAULT = AdmissionPolicy()


def failed(contest, gates):
    return [gate.name for each in gates if (gate := each(contest)).decision != "passed"]


def test_a_model_that_is_fitted_anew_passes_every_test(contest):
    assert (
        failed(contest("again", "good", margin=0.05), [*QUALITY, edge_cases_gate, adversarial_gate, shift_gate]) == []
    )


def test_a_first_model_has_no_predecessor_and_is_held_against_floors_alone(contest):
    first = contest("good")
    assert failed(first, QUALITY) == []
    assert non_inferiority_gate(first).said == "there is no predecessor to compare it with"
    assert "always saying 'blue' is about 33.3 %" in threshold_gate(first).said
    refused = threshold_gate(contest("good", least_accuracy=1.0))
    assert failed(contest("permuted"), [threshold_gate, class_floors_gate]) == ["threshold", "class_floors"]
    assert refused.decision in ("passed", "failed") and "at least 100.0 % are asked for" in refused.said


def test_permuted_labels_fail_wherever_answers_are_judged(contest):
    one = contest("permuted", "good")
    assert failed(one, QUALITY) == [
        "threshold", "non_inferiority", "negative_flips", "class_floors", "classes_and_groups", "calibration"
    ]  # fmt: skip
    gate = non_inferiority_gate(one)
    lost = one.common.before.mean() - one.common.after.mean()
    assert gate.decision == "failed" and gate.short_by == pytest.approx(lost - 0.02)
    assert re.fullmatch(
        r"its accuracy differs by -\d\.\d{3} \(-[\d.]+–-[\d.]+, n = 120\) on the same images; it may lose 0\.020",
        gate.said,
    )


def test_one_bad_class_is_found_though_the_others_are_answered_as_before(contest):
    one = contest("bad class", "good", threshold=0.3, margin=0.9, most_negative_flips=1.0)
    assert failed(one, QUALITY[:4]) == []  # the bounds are wide, only a class is lost
    floors = class_floors_gate(one)
    assert floors.decision == "failed" and floors.short_by == 0.5
    assert floors.said == "of 'blue', its worst class, it recognises 0.0 %; 50.0 % are asked for"
    groups = nobody_loses_gate(one)
    assert groups.decision == "failed" and groups.said.startswith("answered worse: class 'blue' (")


def by_site(contest, wrong_at):
    """The same answers, in a table with a column `site`; of one site the labels are turned."""
    judged = contest.candidate.judged
    sites = ["north" if row % 3 else "south" for row in range(len(judged))]
    labels = judged.rows["label"].to_pylist()
    turned = [
        judged.classes[(judged.classes.index(label) + 1) % 3] if site == wrong_at else label
        for site, label in zip(sites, labels, strict=True)
    ]
    rows = judged.rows.set_column(judged.rows.column_names.index("label"), "label", pa.array(turned))
    candidate = replace(contest.candidate, judged=replace(judged, rows=rows.append_column("site", pa.array(sites))))
    return replace(contest, candidate=candidate)


def test_every_group_of_the_table_has_a_floor(contest):
    assert group_floors_gate(contest("good")).said == "no attribute of the table divides the images into groups"
    assert group_floors_gate(by_site(contest("good"), None)).decision == "passed"
    gate = group_floors_gate(by_site(contest("good"), "south"))
    assert gate.decision == "failed" and gate.short_by > 0.4
    assert re.fullmatch(
        r"it is right about \d\.\d % of site 'south', its worst group; 50\.0 % are asked for", gate.said
    )
    few = by_site(contest("good", attributes="site"), None)
    few = replace(few, candidate=replace(few.candidate, judged=few.candidate.judged.where([True] * 24 + [False] * 96)))
    assert group_floors_gate(few).decision == "not measured"
    with pytest.raises(InputError, match="the image table has no attribute 'sites'\nhint: did you mean site"):
        group_floors_gate(by_site(contest("good", attributes="sites"), None))


def test_probabilities_that_cannot_be_believed_fail_though_every_answer_is_the_same(contest):
    one = contest("unsure", "good", margin=0.05)
    assert (one.candidate.judged.predicted == one.stable.judged.predicted).all()
    assert failed(one, QUALITY) == ["calibration"]
    assert calibration_gate(one).said.endswith("(under-confident)")
    assert calibration_gate(one).short_by > 0.3


def test_a_candidate_that_lacks_a_class_is_refused(contest, monkeypatch):
    one = contest("again", "good")
    monkeypatch.setattr(one.candidate.predictor, "classes", ["blue", "red"])
    gate = classes_gate(one)
    assert gate.decision == "failed" and gate.said == "it does not know 'green' of colours@1"


def test_too_few_images_are_no_evidence_and_it_is_said_how_many_would_be(contest, contenders):
    one = contest("again", "good", margin=0.0001)
    gate = non_inferiority_gate(one)
    assert gate.decision == "not enough evidence" and not gate.lets_pass(one.policy)
    assert gate.lets_pass(AdmissionPolicy(admit_without_evidence=True))
    assert re.search(r"it may lose 0\.000; about [\d,]+ images would show it$", gate.said)


def test_what_cannot_be_measured_is_not_passed_unless_the_policy_says_so(contest):
    one = contest("without reference", "good")
    gate = shift_gate(one)
    assert gate.decision == "not measured" and not gate.lets_pass(one.policy)
    assert gate.lets_pass(AdmissionPolicy(may_be_missing="distribution_shift,speed"))


def test_shifted_images_are_told(contest, contenders, colours):
    one = contest("good", "again")
    assert shift_gate(one).decision == "passed"
    one.candidate.judged.features[:] += 30.0
    try:
        again = contest("good", "again")
        gate = shift_gate(again)
    finally:
        one.candidate.judged.features[:] -= 30.0
    assert gate.decision == "failed" and gate.short_by == 1.0


def test_a_slower_model_is_found_in_turns_on_a_clock_that_both_share(contest):
    gate = speed_gate(contest("slow", "good"))
    assert gate.decision == "failed" and gate.figures["speed_change"] < -0.5
    assert gate.short_by == pytest.approx(gate.figures["slower_by"][1] - 0.25)
    assert speed_gate(contest("good", "slow")).figures["speed_change"] > 1


def test_speed_is_the_median_of_turns_so_that_one_hiccup_changes_nothing(contest):
    ticks, now = iter(range(10**6)), [0.0]

    def clock():
        number = next(ticks)
        now[0] += 5.0 if number == 4 * WARM_UP + 1 else 0.01  # the first measured turn takes 5 s
        return now[0]

    gate = speed_gate(contest("again", "good"), clock=clock)
    assert gate.figures["speed_change"] == pytest.approx(0.0) and gate.figures["rounds"] == ROUNDS


def test_edge_cases_are_blank_tiny_huge_grey_turned_and_noise():
    pictures = edge_pictures(np.full((48, 48, 3), 90, dtype=np.uint8), seed=0)
    assert set(pictures) >= {"blank", "tiny", "huge", "grey", "rotated", "noise", "transparent", "narrow"}
    assert pictures["tiny"].size == (1, 1) and pictures["huge"].size == (4000, 3000) and pictures["grey"].mode == "L"


class OddAboutGrey(Predictor):
    """Answers by how many images it is asked about at once."""

    def answers(self, images, **others):
        for answers in super().answers(images, **others):
            answers.logits[:] += len(answers) * np.arange(3)
            yield answers


def test_an_answer_that_depends_on_the_batch_fails(contest, monkeypatch):
    one = contest("good")
    monkeypatch.setattr(one.candidate.predictor, "__class__", OddAboutGrey)
    gate = edge_cases_gate(one)
    assert gate.decision == "failed" and gate.short_by >= 8.0
    assert re.search(
        r"^\d+ of 10 edge cases are not answered as they should: blank: a probability is another by 0\.\d+", gate.said
    )


def test_a_small_step_against_the_model_is_compared_image_by_image(contest):
    assert adversarial_gate(contest("again", "good")).decision == "passed"
    gate = adversarial_gate(contest("permuted", "good", attack_images=30))
    assert gate.decision == "failed" and gate.short_by > 0.3
    assert gate.said.endswith("(30 images); 10.0 % may be lost")
    floor = adversarial_gate(contest("permuted", least_adversarial_accuracy=0.9))
    assert floor.decision == "failed" and floor.said.endswith("; 90.0 % are asked for")


def test_what_was_measured_is_kept_for_the_same_images_and_for_no_others(contest, tmp_path, monkeypatch):
    made = []

    def gate(one):
        made.append(len(one.candidate.judged))
        return Gate("speed", "passed", "quick")

    monkeypatch.setattr(all_gates, "GATES", {"speed": gate})
    whole = contest("good")
    half = replace(whole, candidate=replace(whole.candidate, judged=whole.candidate.judged.where([True, False] * 60)))
    with RunFolder.open(tmp_path / "run", {}) as run:
        first = all_gates.judged_gates(run, whole)
        assert all_gates.judged_gates(run, whole) == first and made == [120]
        all_gates.judged_gates(run, half)
    assert made == [120, 60]


def test_a_gate_comes_back_from_the_journal_as_it_was():
    gate = Gate("speed", "failed", "it takes 3 ms per image", 0.5, {"rounds": 3})
    assert Gate(**gate.as_json()) == gate


def test_the_peak_is_that_of_this_process(tmp_path):
    (tmp_path / "status").write_text("Name:\tpython\nVmPeak:\t 9 kB\nVmHWM:\t  2048 kB\n")
    assert peak_bytes(tmp_path / "status") == 2048 * 1024
    assert peak_bytes(tmp_path / "missing") > 10**7
