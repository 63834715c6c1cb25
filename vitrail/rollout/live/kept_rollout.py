"""A rollout as its database keeps it: where it stands, what was seen last, and what the next look must remember."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from vitrail.rollout.evidence import Evidence
from vitrail.rollout.kept_json import read_again
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.routes_of import RolloutArms
from vitrail.rollout.state import Phase, RolloutState


@dataclass(frozen=True)
class Memory:
    """What looks remember from one to the next; kept with every tick, so that a conductor that begins anew knows it.

    Attributes:
        folder: of the candidate's package on the conductor's machine, once it was verified.
        classes: that both models know, once it was verified.
        counted: phase and stage that the watermarks below belong to; None: they count from nowhere yet.
        slots: by source and arm, the highest slot when counting began: what was counted later is the phase's.
        judged: by arm, truths and wrong answers when counting began.
        ends: by process of a server, how often the candidate's process had ended when it was first seen and when last.
        boot: which start of which machine `ticked_at` belongs to; None: nothing was ticked yet.
        ticked_at: the steady clock at the last tick.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    folder: str | None = None
    classes: tuple[str, ...] = ()
    counted: tuple[Phase, int] | None = None
    slots: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    judged: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    ends: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    boot: str | None = None
    ticked_at: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values that `from_json` reads again."""
        return _MEMORIES.dump_python(self, mode="json")

    @classmethod
    def from_json(cls, values: Any) -> "Memory":
        """The memory that `as_json` made these values of.

        Raises:
            DamagedError: they are not.
        """
        return read_again(_MEMORIES, values, what="memory")


_MEMORIES = TypeAdapter(Memory)


@dataclass(frozen=True)
class Seen:
    """What a look brought: the evidence for a tick, and what the next look must know."""

    evidence: Evidence
    memory: Memory


@dataclass(frozen=True)
class KeptRollout:
    """A rollout and where it stands.

    Attributes:
        number: counted per database, from 1 on.
        id: a name that no other rollout of any database has.
        version: `flowers@8`.
        model: its id in routes: `flowers-8`.
        digest: of its package.
        replaces: the stable arm that gets it in the end.
        plan: does not change while it runs.
        arms: what it changes.
        state: as the last tick or order left it.
        evidence: of the last tick; None: there was none yet.
        memory: of the last tick.
        begun_by: who.
        begun_at: seconds since 1970.
        versions: address of the version store.
        fence: grows with every conductor: what one of an older number writes is refused.
        holder: who conducts it; None: nobody.
        beat: grows as long as the holder lives.
        is_closed: whether all that belongs to its end is done: users have what the result says, and the version store
            knows it.
    """

    number: int
    id: str
    version: str
    model: str
    digest: str
    replaces: str
    plan: RolloutSettings
    arms: RolloutArms
    state: RolloutState
    evidence: Evidence | None
    memory: Memory
    begun_by: str
    begun_at: float
    versions: str
    fence: int = 0
    holder: str | None = None
    beat: int = 0
    is_closed: bool = False
