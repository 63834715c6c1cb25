"""Routes: which share of the traffic goes to which model, as one numbered revision that never changes.

An arm is a line of it. Stable arms divide what is left by weight; a canary, its control and shadows have a share of all
traffic. Several arms may use one model: a control answers with the stable model, but its figures are its own.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.traffic.plain_values import known_names, list_of, members_of, number_of, shown, text_of

ROLES = ("stable", "canary", "control", "shadow")
"""What an arm is for; see `Arm.role`."""
BY_WEIGHT, FIRST = "by weight", "first"
"""Who answers a request that names no user: an arm drawn by its share, or always the first stable one."""
DEFAULT_SALT = "vitrail"
"""A constant, so that users keep their model over a restart even where nothing is kept in a database."""
COMMAND_LINE = "command line"
"""Who wrote the routes that a server was begun with."""
MOST_WEIGHT = 1e9
"""Above any weight that means something, and far below where the arithmetic of shares would overflow."""

NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""Of an arm or a model, as a regular expression."""

_NAME = re.compile(NAME)
_ARM_MEMBERS = ("name", "model", "role", "weight", "share")
_MEMBERS = ("revision", "arms", "salt", "anonymous", "fallback", "note", "by")
_NAME_HINT = "1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or a digit"


@dataclass(frozen=True)
class Arm:
    """One line of a route revision; figures are counted by arm.

    Attributes:
        name: unique in its revision, and safe in an address.
        model: the id of the model that answers.
        role: `stable`; `canary`, a candidate that grows from 0; `control`, the stable model on as many users, to
            compare with; `shadow`, which answers copies that nobody sees.
        weight: of a stable arm, against the other stable ones; 0: it gets no traffic but is ready to fall back on.
        share: of a canary or control, of all traffic, 0 to 0.5; of a shadow, the share of all requests that is copied.

    Raises:
        InputError: a name, role or number is not as it should be.
    """

    name: str
    model: str
    role: str = "stable"
    weight: float = 0.0
    share: float = 0.0

    def __post_init__(self) -> None:
        refuse_odd_name(self.name, "the name of an arm")
        refuse_odd_name(self.model, "the model of an arm")
        if self.role not in ROLES:
            hint = did_you_mean(self.role, ROLES) or known_names(ROLES)
            raise InputError(f"arm {self.name}: its role is {shown(self.role)}", hint=hint)
        used, other = ("weight", "share") if self.role == "stable" else ("share", "weight")
        most = {"stable": MOST_WEIGHT, "shadow": 1.0}.get(self.role, 0.5)
        value = getattr(self, used)
        if not (math.isfinite(value) and 0 <= value <= most):
            raise InputError(
                f"arm {self.name}: its {used} is {value}, 0 to {most:g} was expected", hint=_hint_of_number(self.role)
            )
        if getattr(self, other) != 0:
            raise InputError(
                f"arm {self.name}: a {self.role} arm has a {used}, and no {other}", hint=_hint_of_number(self.role)
            )

    def as_json(self) -> dict[str, Any]:
        """Plain values, with the one number that its role has."""
        number = {"weight": self.weight} if self.role == "stable" else {"share": self.share}
        return {"name": self.name, "model": self.model, "role": self.role, **number}

    @classmethod
    def from_json(cls, value: Any) -> "Arm":
        """The arm that `as_json` made these values of.

        Raises:
            InputError: a member is missing, unknown or of another type.
        """
        members = members_of(value, "an arm", _ARM_MEMBERS, needed=("name", "model", "role"))
        name, model, role = (text_of(members[each], f"the {each} of an arm") for each in ("name", "model", "role"))
        weight, share = (number_of(members.get(each, 0.0), f"arm {name}: its {each}") for each in ("weight", "share"))
        return cls(name, model, role, weight, share)


@dataclass(frozen=True)
class Routes:
    """One revision: who answers whom. Whoever changes it writes the next one.

    Attributes:
        revision: 1 for the first.
        arms: in the order in which they are shown; at least one stable arm has a weight, at most one is a canary and at
            most one a control.
        salt: what users are divided by; another one divides them anew.
        anonymous: `by weight` or `first`, for requests that name no user.
        fallback: models that are asked, in this order, where an arm's own fails; empty: those of all stable arms.
        note: why there is this revision.
        by: who wrote it: `command line`, `rollout`, `console`.

    Raises:
        InputError: they contradict each other.
    """

    revision: int
    arms: tuple[Arm, ...]
    salt: str = DEFAULT_SALT
    anonymous: str = BY_WEIGHT
    fallback: tuple[str, ...] = ()
    note: str = ""
    by: str = COMMAND_LINE

    def __post_init__(self) -> None:
        if self.revision < 1:
            raise InputError(f"the revision of routes is {self.revision}", hint="the first is 1")
        if self.anonymous not in (BY_WEIGHT, FIRST):
            raise InputError(
                f"anonymous traffic goes {shown(self.anonymous)}",
                hint=did_you_mean(self.anonymous, (BY_WEIGHT, FIRST)) or known_names((BY_WEIGHT, FIRST)),
            )
        _refuse_odd_salt(self.salt)
        text_of(self.note, "the note of routes")
        text_of(self.by, "the writer of routes")
        _refuse_contradictions(self.arms)
        _refuse_unknown_models(self.fallback, self.models)

    @property
    def models(self) -> tuple[str, ...]:
        """Ids of all models that some arm uses, in order, each once."""
        return tuple(dict.fromkeys(arm.model for arm in self.arms))

    @property
    def stable_arms(self) -> tuple[Arm, ...]:
        """The arms that divide by weight what canary and control leave, in order."""
        return self.arms_of("stable")

    def arms_of(self, role: str) -> tuple[Arm, ...]:
        """The arms that have this role, in order."""
        return tuple(arm for arm in self.arms if arm.role == role)

    def as_json(self) -> dict[str, Any]:
        """Plain values that `from_json` reads again."""
        plain = {name: getattr(self, name) for name in _MEMBERS}
        return {**plain, "arms": [arm.as_json() for arm in self.arms], "fallback": list(self.fallback)}

    @classmethod
    def from_json(cls, value: Any) -> "Routes":
        """The routes that `as_json` made these values of; all but `revision` and `arms` may be left out.

        Raises:
            InputError: a member is missing, unknown or of another type, or they contradict each other.
        """
        members = members_of(value, "routes", _MEMBERS, needed=("revision", "arms"))
        if type(members["revision"]) is not int:
            raise InputError(
                f"the revision of routes is {shown(members['revision'])}, a whole number was expected",
                hint="the first is 1",
            )
        arms = tuple(Arm.from_json(each) for each in list_of(members["arms"], "the arms of routes"))
        fallback = list_of(members.get("fallback", []), "the fallback of routes")
        given = [name for name in ("salt", "anonymous", "note", "by") if name in members]
        texts = {name: text_of(members[name], f"the {name} of routes") for name in given}
        names = tuple(text_of(each, "the fallback of routes") for each in fallback)
        return cls(revision=members["revision"], arms=arms, fallback=names, **texts)


def refuse_odd_name(name: str, what: str) -> None:
    """Raise an InputError unless `name` is safe in an address, a label and a file's name."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{what} is {shown(name)}", hint=_NAME_HINT)


def _refuse_contradictions(arms: tuple[Arm, ...]) -> None:
    names = [arm.name for arm in arms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two arms are called {twice}", hint="figures are counted by arm: give each its own name")
    if not any(arm.role == "stable" and arm.weight > 0 for arm in arms):
        raise InputError("no stable arm has a weight above 0", hint="somebody must answer: give a model a weight")
    for role in ("canary", "control"):
        several = [arm.name for arm in arms if arm.role == role]
        if len(several) > 1:
            raise InputError(
                f"there are {len(several)} arms with the role {role}: {', '.join(several)}",
                hint="one candidate is tried at a time",
            )


def _refuse_unknown_models(fallback: tuple[str, ...], models: tuple[str, ...]) -> None:
    for name in fallback:
        if name not in models:
            raise InputError(
                f"the fallback {shown(name)} is no model of these routes",
                hint=did_you_mean(name, models) or known_names(models),
            )
        if fallback.count(name) > 1:
            raise InputError(f"the fallback {name} is named twice", hint="each model is asked once")


def _refuse_odd_salt(salt: str) -> None:
    text_of(salt, "the salt of routes")
    if not salt or "\0" in salt or len(salt) > 256:
        raise InputError(f"the salt of routes is {shown(salt)}", hint="any text of 1 to 256 characters without NUL")


def _hint_of_number(role: str) -> str:
    return {
        "stable": "stable arms have a weight, e.g. 80 and 20",
        "shadow": "a shadow has the share of requests that is copied to it, e.g. 0.1",
    }.get(role, f"a {role} has a share of all traffic, e.g. 0.05")
