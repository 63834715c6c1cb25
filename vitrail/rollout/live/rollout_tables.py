"""The tables of rollouts: a row for each, and every look and order beside it, which only ever grow."""

import dataclasses
import functools
import json
from dataclasses import dataclass
from typing import Any

from vitrail.basics.errors import DamagedError, InputError
from vitrail.rollout.evidence import Evidence
from vitrail.rollout.live.kept_rollout import KeptRollout, Memory
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.routes_of import RolloutArms
from vitrail.rollout.state import RolloutState
from vitrail.traffic.routes import Routes

PART, VERSION = "rollouts", 1
_ARM_NAMES = ("replaces", "candidate", "canary", "control", "shadow", "previous")
_PLAIN = (
    "number", "id", "version", "model", "digest", "replaces", "begun_by", "begun_at", "versions", "fence", "holder",
    "beat",
)  # fmt: skip


@dataclass(frozen=True)
class Tables:
    """Tables of SQLAlchemy, which is imported late; `all` is what they belong to."""

    all: Any
    rollouts: Any
    looks: Any


@functools.cache
def rollout_tables() -> Tables:
    """The tables, made once."""
    import sqlalchemy as sql

    everything = sql.MetaData()
    text, whole, number = (
        functools.partial(sql.Column, type_=kind, nullable=False) for kind in (sql.Text, sql.BigInteger, sql.Double)
    )
    rollouts = sql.Table(
        "rollouts", everything, sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
        text("id"), text("version"), text("model"), text("digest"), text("replaces"), text("versions"),
        text("begun_by"), number("begun_at"), text("plan"), text("arms"), text("state"), text("memory"),
        sql.Column("evidence", sql.Text), whole("fence"), sql.Column("holder", sql.Text), whole("beat"), whole("looks"),
        sql.Column("is_closed", sql.Boolean, nullable=False),
    )  # fmt: skip
    looks = sql.Table(
        "rollout_looks", everything, sql.Column("rollout", sql.Integer, primary_key=True, autoincrement=False),
        sql.Column("position", sql.Integer, primary_key=True, autoincrement=False), number("at"), number("elapsed"),
        text("outcome"), text("place"), text("sentences"), sql.Column("by", sql.Text), text("why"),
        sql.Column("evidence", sql.Text),
    )  # fmt: skip
    return Tables(everything, rollouts, looks)


def row_of(kept: KeptRollout) -> dict[str, Any]:
    """The columns of a rollout that begins."""
    plain = {name: getattr(kept, name) for name in _PLAIN}
    return {
        **plain, "plan": json.dumps(kept.plan.model_dump(mode="json")), "arms": json.dumps(_arms_json(kept.arms)),
        "state": json.dumps(kept.state.as_json()), "memory": json.dumps(kept.memory.as_json()), "evidence": None,
        "looks": 0, "is_closed": False,
    }  # fmt: skip


def rollout_of(row: Any) -> KeptRollout:
    """The rollout of a row.

    Raises:
        DamagedError: it cannot be read.
    """
    plain = {name: getattr(row, name) for name in _PLAIN}
    try:
        return KeptRollout(
            **plain, plan=RolloutSettings.parse(**json.loads(row.plan)), arms=_arms_of(json.loads(row.arms)),
            state=RolloutState.from_json(json.loads(row.state)), memory=Memory.from_json(json.loads(row.memory)),
            evidence=None if row.evidence is None else Evidence.from_json(json.loads(row.evidence)),
            is_closed=bool(row.is_closed),
        )  # fmt: skip
    except DamagedError:
        raise
    except (InputError, ValueError, TypeError, KeyError) as error:
        said = error.message if isinstance(error, InputError) else str(error)
        raise DamagedError(
            f"rollout {row.number} cannot be read: {said}",
            hint="it was changed by something else than Vitrail, or written by a newer one",
        ) from None


def _arms_json(arms: RolloutArms) -> dict[str, Any]:
    return {"base": arms.base.as_json(), **{name: getattr(arms, name) for name in _ARM_NAMES}}


def _arms_of(values: dict[str, Any]) -> RolloutArms:
    known = {field.name for field in dataclasses.fields(RolloutArms)}
    named = {name: str(value) for name, value in values.items() if name in known and name != "base"}
    return RolloutArms(base=Routes.from_json(values["base"]), **named)
