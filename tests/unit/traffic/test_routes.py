import json

import pytest

from vitrail.basics.errors import InputError
from vitrail.serving.fallback import order_of_models
from vitrail.traffic.routes import Arm, Routes

ANTS, BEES = Arm("ants", "ants", weight=80.0), Arm("bees", "bees", weight=20.0)
FULL = Routes(
    7,
    (ANTS, BEES, Arm("new", "wasps", "canary", share=0.05), Arm("same", "ants", "control", share=0.05),
     Arm("dark", "moths", "shadow", share=1.0), Arm("spare", "flies")),
    salt="s", anonymous="first", fallback=("bees", "flies"), note="wasps at 5 %", by="rollout",
)  # fmt: skip


def test_routes_travel_as_json_and_come_back_the_same():
    assert Routes.from_json(json.loads(json.dumps(FULL.as_json()))) == FULL


def test_the_json_of_an_arm_has_the_one_number_that_its_role_has():
    assert [sorted({"weight", "share"} & set(arm)) for arm in FULL.as_json()["arms"]] == [
        ["weight"], ["weight"], ["share"], ["share"], ["share"], ["weight"]]  # fmt: skip


def test_what_json_leaves_out_has_its_default():
    read = Routes.from_json({"revision": 1, "arms": [{"name": "a", "model": "m", "role": "stable", "weight": 1}]})
    assert read == Routes(1, (Arm("a", "m", weight=1.0),))


def test_models_are_named_once_in_the_order_of_the_arms():
    assert FULL.models == ("ants", "bees", "wasps", "moths", "flies")


def refusal(call, *arguments, **named):
    with pytest.raises(InputError) as refused:
        call(*arguments, **named)
    return str(refused.value)


NAME_HINT = "hint: 1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or a digit"


@pytest.mark.parametrize("name", ["", "a b", "ä", "..", "-a", "a/b", "a\n", "x" * 65, "\ud800"])
def test_names_that_are_not_safe_everywhere_are_refused(name):
    assert refusal(Arm, name, "m", weight=1.0) == f"the name of an arm is {name!a}\n{NAME_HINT}"
    assert refusal(Arm, "a", name, weight=1.0) == f"the model of an arm is {name!a}\n{NAME_HINT}"


def test_a_role_that_is_none_is_refused_with_the_nearest():
    assert refusal(Arm, "a", "m", "canari") == "arm a: its role is 'canari'\nhint: did you mean canary?"
    assert refusal(Arm, "a", "m", "x") == "arm a: its role is 'x'\nhint: known: stable, canary, control, shadow"


@pytest.mark.parametrize(
    ("role", "numbers", "text"),
    [
        ("stable", {"weight": -1.0}, "arm a: its weight is -1.0, 0 to 1e+09 was expected"),
        ("stable", {"weight": float("nan")}, "arm a: its weight is nan, 0 to 1e+09 was expected"),
        ("stable", {"weight": float("inf")}, "arm a: its weight is inf, 0 to 1e+09 was expected"),
        ("canary", {"share": 0.51}, "arm a: its share is 0.51, 0 to 0.5 was expected"),
        ("control", {"share": float("nan")}, "arm a: its share is nan, 0 to 0.5 was expected"),
        ("shadow", {"share": 1.1}, "arm a: its share is 1.1, 0 to 1 was expected"),
        ("stable", {"weight": 1.0, "share": 0.1}, "arm a: a stable arm has a weight, and no share"),
        ("canary", {"weight": 1.0, "share": 0.1}, "arm a: a canary arm has a share, and no weight"),
    ],
)
def test_an_arm_has_a_number_that_fits_its_role(role, numbers, text):
    hints = {
        "stable": "stable arms have a weight, e.g. 80 and 20",
        "canary": "a canary has a share of all traffic, e.g. 0.05",
        "control": "a control has a share of all traffic, e.g. 0.05",
        "shadow": "a shadow has the share of requests that is copied to it, e.g. 0.1",
    }
    assert refusal(Arm, "a", "m", role, **numbers) == f"{text}\nhint: {hints[role]}"


HALF = {role: Arm(role, "ants", role, share=0.5) for role in ("canary", "control")}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"revision": 0}, "the revision of routes is 0\nhint: the first is 1"),
        ({"arms": ()}, "no stable arm has a weight above 0\nhint: somebody must answer: give a model a weight"),
        ({"arms": (Arm("a", "m"), HALF["canary"])},
         "no stable arm has a weight above 0\nhint: somebody must answer: give a model a weight"),
        ({"arms": (ANTS, ANTS)}, "two arms are called ants\nhint: figures are counted by arm: give each its own name"),
        ({"arms": (ANTS, HALF["canary"], Arm("c2", "ants", "canary", share=0.1))},
         "there are 2 arms with the role canary: canary, c2\nhint: one candidate is tried at a time"),
        ({"fallback": ("bee",)}, "the fallback 'bee' is no model of these routes\nhint: did you mean bees?"),
        ({"fallback": ("x",)}, "the fallback 'x' is no model of these routes\nhint: known: ants, bees"),
        ({"fallback": ("ants", "ants")}, "the fallback ants is named twice\nhint: each model is asked once"),
        ({"anonymous": "frist"}, "anonymous traffic goes 'frist'\nhint: did you mean first?"),
        ({"salt": ""}, "the salt of routes is ''\nhint: any text of 1 to 256 characters without NUL"),
        ({"salt": "a\0b"}, "the salt of routes is 'a\\x00b'\nhint: any text of 1 to 256 characters without NUL"),
        ({"salt": "\ud800"}, "the salt of routes is '\\ud800': half a character\nhint: a text that UTF-8 can hold"),
    ],
)  # fmt: skip
def test_routes_that_contradict_themselves_are_refused(changes, text):
    assert refusal(Routes, **{"revision": 1, "arms": (ANTS, BEES), **changes}) == text


ARM = {"name": "a", "model": "m", "role": "stable", "weight": 1}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None was given as routes\nhint: a mapping with revision, arms, salt, anonymous, fallback, note, by"),
        ({"arms": [ARM]},
         "routes without revision\nhint: a mapping with revision, arms, salt, anonymous, fallback, note, by"),
        ({"revision": True, "arms": [ARM]},
         "the revision of routes is True, a whole number was expected\nhint: the first is 1"),
        ({"revision": 1, "arm": [ARM]}, "'arm' is no part of routes\nhint: did you mean arms?"),
        ({"revision": 1, "arms": {}},
         "the arms of routes is {}, a list was expected\nhint: write it in brackets: [first, second]"),
        ({"revision": 1, "arms": [ARM | {"wieght": 1}]}, "'wieght' is no part of an arm\nhint: did you mean weight?"),
        ({"revision": 1, "arms": [ARM | {"weight": "1"}]},
         "arm a: its weight is '1', a number was expected\nhint: e.g. 80 or 0.05"),
        ({"revision": 1, "arms": [ARM | {"weight": True}]},
         "arm a: its weight is True, a number was expected\nhint: e.g. 80 or 0.05"),
        ({"revision": 1, "arms": [ARM | {"name": 5}]},
         "the name of an arm is 5, a text was expected\nhint: write it in quotes"),
        ({"revision": 1, "arms": [ARM], "fallback": "m"},
         "the fallback of routes is 'm', a list was expected\nhint: write it in brackets: [first, second]"),
    ],
)  # fmt: skip
def test_json_that_is_no_routes_is_refused(value, text):
    assert refusal(Routes.from_json, value) == text


def test_a_number_with_a_thousand_digits_is_refused():
    assert "a number was expected" in refusal(Arm.from_json, ARM | {"weight": 10**1000})


def test_an_arms_own_model_is_asked_first_and_each_of_the_list_once():
    assert order_of_models(FULL, FULL.arms[0]) == ("ants", "bees", "flies")
    assert order_of_models(FULL, FULL.arms[1]) == ("bees", "flies")


def test_without_a_list_the_stable_models_answer_for_a_canary_in_order():
    routes = Routes(1, (Arm("c", "new", "canary", share=0.1), ANTS, Arm("s", "dark", "shadow", share=1.0), BEES))
    assert order_of_models(routes, routes.arms[0]) == ("new", "ants", "bees")
