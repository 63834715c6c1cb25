from dataclasses import replace

from vitrail.traffic.route_changes import routes_at_start
from vitrail.traffic.routes import Arm, Routes

ANTS, BEES = Arm("ants", "ants", weight=80.0), Arm("bees", "bees", weight=20.0)
ASKED = Routes(1, (ANTS, BEES), note="as it was asked for")
ROLLED = Routes(
    5, (ANTS, BEES, Arm("new", "wasps", "canary", share=0.05), Arm("same", "ants", "control", share=0.05)),
    note="5 %", by="rollout",
)  # fmt: skip


def test_the_first_server_writes_the_first_revision():
    assert routes_at_start(replace(ASKED, revision=9), None, None) == ASKED


def test_a_restart_with_the_same_arms_keeps_a_canary_that_is_going_on():
    assert routes_at_start(ASKED, replace(ASKED, revision=2), ROLLED) is ROLLED


def test_a_restart_with_the_same_arms_keeps_what_was_promoted():
    promoted = Routes(8, (Arm("new", "wasps", weight=1.0),), note="promoted", by="rollout")
    assert routes_at_start(ASKED, ASKED, promoted) is promoted


def test_other_weights_are_a_new_revision_without_a_canary_and_its_note_says_so():
    asked = replace(ASKED, arms=(replace(ANTS, weight=50.0), BEES))
    started = routes_at_start(asked, ASKED, ROLLED)
    assert (started.revision, started.arms, started.by) == (6, asked.arms, "command line")
    assert started.note == "ants: weight 80 → 50; canary new of revision 5 ended; control same of revision 5 ended"


def test_the_note_says_everything_that_is_asked_for_otherwise():
    asked = Routes(
        1, (BEES, replace(ANTS, model="moths"), Arm("wasps", "wasps")), "other", "first", fallback=("wasps", "bees")
    )
    assert routes_at_start(asked, replace(ASKED, arms=(*ASKED.arms, Arm("flies", "flies"))), ASKED).note == (
        "wasps is new; flies is gone; ants: model ants → moths; fallback: all → wasps, bees; "
        "anonymous traffic: by weight → first; salt: vitrail → other"
    )


def test_another_order_is_another_fallback_and_asked_for_anew():
    started = routes_at_start(replace(ASKED, arms=(BEES, ANTS)), ASKED, ROLLED)
    assert started.note.startswith("order: bees, ants; canary")


def test_another_package_under_the_same_name_is_asked_for_anew():
    started = routes_at_start(ASKED, ASKED, ROLLED, changed_packages=["ants", "moths"])
    assert started.note.startswith("ants has another package; canary new of revision 5 ended")
    assert routes_at_start(ASKED, ASKED, ROLLED, changed_packages=["moths"]) is ROLLED


def test_what_was_written_by_a_rollout_before_any_command_line_gives_way():
    started = routes_at_start(ASKED, None, ROLLED)
    assert started.revision == 6
    assert started.note.startswith("asked for on a command line for the first time; canary new of revision 5 ended")


def test_asking_twice_for_the_same_writes_once():
    first = routes_at_start(ASKED, None, None)
    assert routes_at_start(ASKED, first, first) is first
    other = replace(ASKED, arms=(ANTS,))
    second = routes_at_start(other, first, first)
    assert routes_at_start(other, second, second) is second
