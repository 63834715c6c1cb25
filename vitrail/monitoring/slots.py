"""An hour in slots of five seconds, from the oldest of which the newest takes the place."""

from vitrail.monitoring.tally import Tally, summed

SLOT_SECONDS = 5
HISTORY_SLOTS = 720
"""Finished slots that are kept: an hour; the one under way stands beside."""

_PER_MINUTE = 60 // SLOT_SECONDS


def slot_at(time: float) -> int:
    """Number of the slot that a time, in seconds since 1970, belongs to."""
    return int(time // SLOT_SECONDS)


class SlotHistory:
    """Tallies by slot, and sums of whole minutes, made when they are first asked for."""

    def __init__(self) -> None:
        self._slots: dict[int, Tally] = {}
        self._minutes: dict[int, Tally] = {}
        self.newest = -1

    def __len__(self) -> int:
        return len(self._slots)

    def tally(self, slot: int) -> Tally:
        """The tally of the slot under way; of a time before it, that of the newest slot."""
        if slot > self.newest:
            self.newest = slot
            self._slots[slot] = Tally()
            self.forget_before(slot - HISTORY_SLOTS)
        return self._slots[self.newest]

    def put(self, slot: int, tally: Tally) -> None:
        """A finished slot, counted elsewhere; it takes the place of what was known of it."""
        self._slots[slot] = tally
        self._minutes.pop(slot // _PER_MINUTE, None)
        self.newest = max(self.newest, slot)

    def forget_before(self, slot: int) -> None:
        """Drop older slots."""
        for of in (self._slots, self._minutes):
            first = slot if of is self._slots else slot // _PER_MINUTE
            for each in [each for each in of if each < first]:
                del of[each]

    def finished(self, *, after: int, before: int) -> list[tuple[int, Tally]]:
        """Slots between two others, oldest first."""
        return [(slot, self._slots[slot]) for slot in sorted(self._slots) if after < slot < before]

    def first_from(self, slot: int) -> int | None:
        """The earliest slot from this one on in which something was counted."""
        return min((each for each in self._slots if each >= slot), default=None)

    def between(self, first: int, last: int) -> list[Tally]:
        """Tallies that together are those of the slots from `first` to `last`, both among them."""
        found = []
        for minute in range(first // _PER_MINUTE, last // _PER_MINUTE + 1):
            start = minute * _PER_MINUTE
            if first <= start and start + _PER_MINUTE - 1 <= last and minute < self.newest // _PER_MINUTE:
                found.append(self._minute(minute))
            else:
                wanted = range(max(first, start), min(last, start + _PER_MINUTE - 1) + 1)
                found += [self._slots[slot] for slot in wanted if slot in self._slots]
        return found

    def _minute(self, minute: int) -> Tally:
        if minute not in self._minutes:
            slots = range(minute * _PER_MINUTE, (minute + 1) * _PER_MINUTE)
            self._minutes[minute] = summed(self._slots[slot] for slot in slots if slot in self._slots)
        return self._minutes[minute]
