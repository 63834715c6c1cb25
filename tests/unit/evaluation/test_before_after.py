import numpy as np
import pyarrow as pa
import pytest

from vitrail.evaluation.before_after import before_after_section
from vitrail.evaluation.judged_images import JudgedImages


def judged(right, sites, labels=None):
    """Two classes; which answers are right, and the site of each image."""
    n = len(right)
    truth = np.arange(n) % 2 if labels is None else labels
    said = np.where(right, truth, 1 - truth)
    rows = pa.table({
        "path": [str(i) for i in range(n)], "id": [f"{i:032x}" for i in range(n)],
        "label": ["ab"[each] for each in truth], "group": pa.nulls(n, pa.string()), "site": list(sites),
    })  # fmt: skip
    return JudgedImages(rows, np.eye(2)[said] * 0.8 + 0.1, ("a", "b"), "test")


def test_gap_and_accuracy_of_both_stand_beside_each_other_with_intervals_and_a_verdict():
    sites = ["s"] * 100 + ["t"] * 100
    before = judged(np.array([True] * 150 + [False] * 50), sites)
    after = judged(np.array(([True] * 19 + [False]) * 10), sites)
    section = before_after_section(before, after)
    accuracy, gap = section.figures["accuracy"], section.figures["attributes"]["site"]["accuracy gap"]
    assert (accuracy["before"]["value"], accuracy["after"]["value"]) == (0.75, 0.95)
    assert (gap["before"]["value"], gap["after"]["value"]) == (0.5, 0.0) and gap["after"]["n"] == 200
    assert section.figures["attributes"]["site"]["gap in recognising a"]["before"]["value"] == 0.5
    (sentence,) = section.sentences
    assert sentence.verdict == "better"
    assert sentence.text.startswith("Between the groups of site, accuracy lies 50.0 % (39.") and sentence.text.endswith(
        " after."
    )
    assert before_after_section(after, before).sentences[0].verdict == "worse"
    assert before_after_section(after, after).sentences[0].verdict == "not enough evidence"


@pytest.mark.parametrize("sites", [["s"] * 40, [str(n) for n in range(40)]])
def test_without_groups_there_is_no_section(sites):
    images = judged(np.ones(40, dtype=bool), sites)
    assert before_after_section(images, images) is None
