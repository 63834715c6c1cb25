import re
from pathlib import Path

import pytest

from vitrail.basics.errors import InputError
from vitrail.rollout.admission.policy import TESTS, AdmissionPolicy, asked_policy


def test_a_policy_is_a_small_yaml_and_what_is_given_beside_it_goes_first(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("margin: 0.05\nthreshold: 0.9\nmay_be_missing: [distribution_shift]\n")
    policy = asked_policy(file, {"margin": 0.01})
    assert (policy.margin, policy.threshold, policy.may_be_missing) == (0.01, 0.9, ("distribution_shift",))
    assert asked_policy(None, {}) == AdmissionPolicy() and AdmissionPolicy().threshold == 0.95
    (tmp_path / "empty.yaml").write_text("")
    assert asked_policy(tmp_path / "empty.yaml", {}) == AdmissionPolicy()


def test_the_policy_that_the_documents_show_is_one_and_their_table_names_every_test_and_bound(tmp_path):
    text = (Path(__file__).parents[4] / "docs" / "versions.md").read_text()
    (shown,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    (tmp_path / "policy.yaml").write_text(shown)
    policy = asked_policy(tmp_path / "policy.yaml", {})
    assert policy.attributes == ("sex", "site") and policy.least_class_accuracy == 0.8
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d.]*) ?\|$", text, re.M)
    assert [name for name, _ in rows] == list(TESTS)
    usual, bounds = AdmissionPolicy(), {name: float(bound) for name, bound in rows if bound}
    assert bounds == {
        "threshold": usual.threshold, "non_inferiority": usual.margin, "negative_flips": usual.most_negative_flips,
        "class_floors": usual.least_class_accuracy, "group_floors": usual.least_group_accuracy,
         "calibration": usual.most_calibration_error,
        "speed": usual.most_slowdown, "adversarial_robustness": usual.most_robustness_loss,
        "memory_usage": usual.most_memory_growth,
    }  # fmt: skip


def test_a_bound_that_is_misspelled_or_out_of_range_names_its_file(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("margn: 0.05\n")
    with pytest.raises(InputError) as refused:
        asked_policy(file, {})
    assert str(refused.value).startswith(
        f"{file}: a setting is wrong:\n  - unknown setting 'margn' - did you mean margin?"
    )
    file.write_text("threshold: 1.5\n")
    with pytest.raises(InputError, match=r"threshold: .* less than or equal to 1, got 1.5"):
        asked_policy(file, {})
    file.write_text("- margin\n")
    with pytest.raises(InputError, match=r"names and bounds were expected\nhint: for example `margin: 0.05`"):
        asked_policy(file, {})
    with pytest.raises(InputError, match="hint: a YAML file with bounds of an admission was expected"):
        asked_policy(tmp_path / "missing.yaml", {})


def test_a_test_that_there_is_not_cannot_be_left_out():
    with pytest.raises(InputError) as refused:
        AdmissionPolicy.parse(may_be_missing="shift")
    assert "may_be_missing: 'shift' is no test; known: loads, classes, threshold" in str(refused.value)
