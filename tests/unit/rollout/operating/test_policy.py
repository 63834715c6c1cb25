import pytest

from vitrail.basics.errors import InputError
from vitrail.rollout.operating.policy import OperatePolicy, read_policy

LEAST = "name: flowers\ndata: labelled\nheld_out: held-out\n"


def written(tmp_path, text):
    (tmp_path / "operate.yaml").write_text(text)
    return read_policy(tmp_path / "operate.yaml")


def test_three_lines_are_a_policy_and_nothing_happens_without_a_person(tmp_path):
    policy = written(tmp_path, LEAST)
    assert policy.people.without_a_person == () and policy.material.mitigation == "none"
    assert policy.material.feedback_images == () and policy.trigger.alpha == 0.05
    more = written(tmp_path, LEAST + "alpha: 0.01\nfit: {preset: quick}\napprovers: [Ada]\ncolumns: {label: dx}\n")
    assert more.trigger.alpha == 0.01 and more.material.fit == {"preset": "quick"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: flowers\n", "2 settings are wrong:"),
        (LEAST + "attribute: sex\n", "unknown setting 'attribute' - did you mean attributes"),
        (LEAST + "without_a_person: [fit]\n", "without_a_person: "),
        (LEAST + "triggers: []\n", "a policy without triggers would watch nothing\nhint: name some: shift"),
        ("- name\n", "names and values were expected\nhint: for example `name: flowers`"),
        (LEAST.replace("flowers", "a/b"), "a/b"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_in_words(tmp_path, text, said):
    with pytest.raises(InputError) as raised:
        written(tmp_path, text)
    assert said in str(raised.value)


def test_only_those_whom_the_policy_names_may_decide():
    given = {"name": "flowers", "data": "d", "held_out": "h"}
    policy = OperatePolicy.gather(**given, approvers="Ada Lovelace, Bob")
    assert policy.refuse_stranger(" Bob ") == "Bob"
    with pytest.raises(InputError, match="Eve may not decide here\nhint: the policy names Ada Lovelace, Bob"):
        policy.refuse_stranger("Eve")
    with pytest.raises(InputError, match="nobody is named"):
        policy.refuse_stranger(" ")
    assert OperatePolicy.gather(**given).refuse_stranger("Eve") == "Eve"
