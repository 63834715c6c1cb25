"""Passes of the loop: kept databases, figures by hand, and steps that take no time."""

import contextlib

import pytest
import yaml

import vitrail
from tests.operating import Serving
from tests.serving import small_package
from vitrail.basics.errors import InputError, SystemFault
from vitrail.rollout.operating.proposals import NEXT_STATES
from vitrail.workflows.operate import run as recipe
from vitrail.workflows.operate.operation import opened_operation
from vitrail.workflows.operate.run import one_pass
from vitrail.workflows.operate.steps import STEPS, Made

WAY = ("proposed", "approved", "gathered", "fitted", "registered", "admitted", "signed", "rolling out", "done")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("to-operate")
    return [small_package(folder / f"{seed}" / "package", seed=seed) for seed in range(2)]


@pytest.fixture
def serving(tmp_path, packages):
    made = Serving(tmp_path, packages[0])
    yield made
    made.close()


@pytest.fixture
def policy(tmp_path, serving):
    """Writes a policy file; what is given goes before the usual."""

    def write(**given):
        usual = {"name": "colours", "state": serving.state, "store": serving.store, "data": "none", "held_out": "none",
                 "least_accuracy": 0.8, "window_seconds": 100.0, "runs": str(tmp_path / "runs")}  # fmt: skip
        (tmp_path / "operate.yaml").write_text(yaml.safe_dump({**usual, **given}))
        return tmp_path / "operate.yaml"

    return write


class NoRollouts:
    """Where no step asks for one."""

    def find(self, version, *, since):
        raise NotImplementedError

    def begin(self, version, *, by):
        raise NotImplementedError


@contextlib.contextmanager
def opened(policy, serving):
    others = {"rollouts": lambda *_: NoRollouts(), "clock": serving.clock, "emit": vitrail.nobody}
    with opened_operation(policy, **others) as operation:
        yield operation


def quick_steps(monkeypatch, **other):
    """Steps that make nothing but the next state."""
    steps = {state: (lambda _, proposal: Made(NEXT_STATES[proposal.state][0], "loop", {})) for state in STEPS}
    monkeypatch.setattr(recipe, "STEPS", {**steps, **{name.replace("_", " "): each for name, each in other.items()}})


def states(operation):
    return [each.state for each in operation.proposals.proposals("colours")]


def way(operation, number):
    lines = operation.proposals.proposal(number).lines
    return tuple(each.facts["state"] for each in lines if each.kind == "state")


def worsen(serving):
    serving.tell(0.5, times=90)
    serving.now += 100


def test_nothing_happens_without_a_person(serving, policy, monkeypatch):
    quick_steps(monkeypatch)
    worsen(serving)
    with opened(policy(), serving) as operation:
        first = one_pass(operation)
        assert first.told[0].startswith("proposal 1  accuracy of colours@1: proposed")
        assert one_pass(operation).told == () and states(operation) == ["proposed"]
        shown = vitrail.operate_status(policy(), 1).lines()
        assert "colours@1 is right less often than it should be: 50.0 %" in shown[1]
        assert shown[-1] == "  next: `vitrail operate approve 1` or `decline 1`, each with --as and a reason"


def test_what_was_approved_goes_on_to_its_end_and_says_who_agreed(serving, policy, monkeypatch):
    quick_steps(monkeypatch)
    worsen(serving)
    with opened(policy(approvers=["Ada"]), serving) as operation:
        one_pass(operation)
        with pytest.raises(InputError, match="Eve may not decide here"):
            vitrail.approve_proposal(policy(approvers=["Ada"]), 1, by="Eve", note="go")
        with pytest.raises(InputError, match="a decision says why; nothing was said"):
            vitrail.approve_proposal(policy(approvers=["Ada"]), 1, by="Ada", note=" ")
        vitrail.approve_proposal(policy(approvers=["Ada"]), 1, by="Ada", note="go")
        one_pass(operation)
        assert way(operation, 1) == WAY
        approved = operation.proposals.proposal(1).line_of("approved")
        assert approved.by == "Ada" and approved.facts["note"] == "go"


def test_a_policy_may_say_that_nobody_is_needed(serving, policy, monkeypatch):
    quick_steps(monkeypatch)
    worsen(serving)
    with opened(policy(without_a_person=["approve"]), serving) as operation:
        one_pass(operation)
        assert way(operation, 1) == WAY
        assert operation.proposals.proposal(1).line_of("approved").by == "policy of colours"


def test_what_was_declined_stays_declined_until_it_got_worse(serving, policy):
    worsen(serving)
    with opened(policy(), serving) as operation:
        one_pass(operation)
        vitrail.decline_proposal(policy(), 1, by="Ada", why="the cameras were cleaned")
        assert "Ada: the cameras were cleaned" in "\n".join(operation.proposals.proposal(1).words())
        serving.now += 100
        worsen(serving)
        assert one_pass(operation).told == () and states(operation) == ["declined"]
        serving.tell(0.9, times=90)
        assert one_pass(operation).told[0].startswith("proposal 2  accuracy") and len(states(operation)) == 2


def test_what_must_be_mended_stops_and_is_tried_again_when_somebody_says_so(serving, policy, monkeypatch):
    faults = [InputError("labelled: no such folder", hint="look there")]

    def gather(operation, proposal):
        if faults:
            raise faults.pop()
        return Made("gathered", "loop", {})

    quick_steps(monkeypatch, approved=gather)
    worsen(serving)
    with opened(policy(without_a_person=["approve"]), serving) as operation:
        assert "proposal 1 stopped: labelled: no such folder (hint: look there)" in one_pass(operation).told
        assert one_pass(operation).told == () and states(operation) == ["approved"]
        assert "resume 1" in one_pass(operation).lines()[-1]
        vitrail.resume_proposal(policy(), 1, by="Ada", note="mended")
        with pytest.raises(InputError, match="proposal 1 was not stopped"):
            vitrail.resume_proposal(policy(), 1, by="Ada", note="mended")
        one_pass(operation)
        assert way(operation, 1) == WAY


def test_what_cannot_be_reached_is_waited_for_and_stops_nothing(serving, policy, monkeypatch):
    def gather(operation, proposal):
        raise SystemFault("the disk is full", hint="make room")

    quick_steps(monkeypatch, approved=gather)
    worsen(serving)
    with opened(policy(without_a_person=["approve"]), serving) as operation:
        with pytest.raises(SystemFault, match="the disk is full"):
            one_pass(operation)
        assert operation.proposals.proposal(1).stopped is None
        quick_steps(monkeypatch)
        one_pass(operation)
        assert way(operation, 1) == WAY


class Killed(BaseException):
    """Nobody catches it, as nobody catches kill -9."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_before_or_after_any_line_is_written_every_step_is_made_once_and_in_order(
    serving, policy, monkeypatch, when
):  # fmt: skip
    made, killed = [], set()

    def step(operation, proposal):
        made.append(proposal.state)
        return Made(NEXT_STATES[proposal.state][0], "loop", {})

    monkeypatch.setattr(recipe, "STEPS", dict.fromkeys(STEPS, step))
    worsen(serving)
    asked = policy(without_a_person=["approve"])
    for _ in range(20):
        with opened(asked, serving) as operation:
            write = operation.proposals.advance

            def advance(proposal, state, write=write, **facts):
                if when == "before" and state not in killed:
                    killed.add(state)
                    raise Killed
                written = write(proposal, state, **facts)
                if state not in killed:
                    killed.add(state)
                    raise Killed
                return written

            monkeypatch.setattr(operation.proposals, "advance", advance)
            with contextlib.suppress(Killed):
                one_pass(operation)
            if states(operation) == ["done"]:
                break
    assert killed == set(WAY[1:]) and way(operation, 1) == WAY
    # A step whose line was not written is made again: steps find what they made before.
    assert made == [state for state in WAY[1:-1] for _ in range(2 if when == "before" else 1)]


def test_one_proposal_is_carried_on_at_a_time_and_what_is_about_an_older_version_is_overtaken(
    serving, policy, packages, monkeypatch
):  # fmt: skip
    quick_steps(monkeypatch, admitted=lambda *_: None)
    worsen(serving)
    serving.report_shift(seen=500, unlike=400, p_value=1e-9)
    with opened(policy(), serving) as operation:
        one_pass(operation)
        assert [each.kind for each in operation.proposals.proposals("colours")] == ["shift", "accuracy"]
        for number in (2, 1):
            vitrail.approve_proposal(policy(), number, by="Ada", note="go")
        one_pass(operation)
        assert states(operation) == ["admitted", "approved"]
        vitrail.register(packages[1], name="colours", store=serving.store)
        vitrail.set_alias("colours@2", "stable", store=serving.store)
        serving.serve("colours@2")
        one_pass(operation)
        assert states(operation) == ["admitted", "overtaken"]
        assert operation.proposals.proposal(2).line_of("overtaken").facts["why"] == "colours@2 is stable by now"


def test_without_a_server_it_says_that_nothing_can_be_watched(serving, policy, tmp_path):
    elsewhere = policy(state=str(tmp_path / "other.sqlite"))
    result = vitrail.operate(elsewhere, once=True, emit=vitrail.nobody)
    assert result.told == ("nothing can be watched: no server was ever begun on this database",)


def test_two_loops_of_one_policy_do_not_work_at_once(serving, policy, tmp_path):
    from vitrail.basics.locks import locked

    (tmp_path / "runs" / "colours-operate").mkdir(parents=True)
    lock = locked(tmp_path / "runs" / "colours-operate", thing="policy")
    with pytest.raises(InputError, match="another process is working on this policy"):
        vitrail.operate(policy(), once=True, emit=vitrail.nobody)
    lock.release()
