"""Truths that come back for requests that were answered: each counts once, also where it is told twice."""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from vitrail.basics.clock import Clock, SteadyTime
from vitrail.basics.errors import InputError
from vitrail.basics.printable import encodable
from vitrail.monitoring.tally import OTHERS
from vitrail.monitoring.truth_figures import Attributes, JudgedAnswer, TruthFigures, TruthSettings, truth_figures

MOST_ANSWERS = 100_000
MOST_ATTRIBUTES, MOST_VALUES = 8, 20
LONGEST_WORD = 200
_MOST_COMBINATIONS = 10_000  # of attributes, of which answers share one copy
LONGEST_WINDOW_SECONDS = 86_400

UNKNOWN_AFTER_SECONDS = 60
"""So long a truth may be there before the answer that another server has yet to write."""

TruthStatus = Literal["counted", "unchanged", "replaced", "looked up", "unknown"]


class AnsweredRequest(NamedTuple):
    """What is remembered of an answer: nothing of the image, and nothing of the user.

    Attributes:
        request_id: that the answer told.
        at: when, in seconds since 1970.
        arm: who answered. A shadow arm's answer to the same request stands beside it.
        answer: name of the class.
        attributes: that the request carried, such as sex or site.
    """

    request_id: str
    at: float
    arm: str
    answer: str
    attributes: Attributes


class ToldTruth(NamedTuple):
    """A truth, and when it came."""

    truth: str
    at: float


class Truths:
    """Remembers the latest 100,000 answers and as many truths; safe for several threads.

    A window is of the truths that came within it, from the minute on that its first second lies in: they come hours or
    weeks after the answers they are about.

    At most 8 attributes are told apart and 20 values of each; further values are `(others)`, further attributes are
    left out.

    Args:
        clock: handed in.
        settings: how groups are compared.
        most_answers: how many are remembered.
    """

    def __init__(
        self, clock: Clock, settings: TruthSettings | None = None, *, most_answers: int = MOST_ANSWERS
    ) -> None:
        self._time = SteadyTime(clock)
        self._settings = settings or TruthSettings()
        self._most = most_answers
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[AnsweredRequest, ...]] = OrderedDict()
        self._judged: OrderedDict[tuple[str, str], JudgedAnswer] = OrderedDict()
        self._counts: dict[tuple[int, str], Counter[tuple[Attributes, bool]]] = {}
        self._values: dict[str, set[str]] = {}
        self._combinations: dict[Attributes, Attributes] = {}
        self._kept = False
        self._unwritten: deque[AnsweredRequest] = deque(maxlen=most_answers)
        self._told: OrderedDict[str, ToldTruth] = OrderedDict()
        self.unknown_count = 0
        """Truths about requests that nobody remembers."""

    def remember(self, request_id: str, arm: str, answer: str, attributes: Mapping[str, str] | None = None) -> None:
        """Remember an answer, so that its truth may come."""
        key = storable(request_id)
        with self._lock:
            bounded = self._bounded((attributes or {}).items())
            answered = AnsweredRequest(key, self._time.now(), storable(arm), storable(answer), bounded)
            of_others = tuple(each for each in self._answers.get(key, ()) if each.arm != answered.arm)
            self._answers[key] = (*of_others, answered)
            if len(self._answers) > self._most:
                self._answers.popitem(last=False)
            if self._kept:
                self._unwritten.append(answered)

    def tell(self, request_id: str, truth: str) -> TruthStatus:
        """Count the truth about a request.

        Returns:
            `counted`; `unchanged` where the same was told before; `replaced` where another was, in whose place it is
            counted; `unknown` where no such request is remembered; `looked up` where the database will be asked.
        """
        key, told = storable(request_id), ToldTruth(storable(truth), self._time.now())
        with self._lock:
            answers = self._answers.get(key, ())
            if not answers and not self._kept:
                self.unknown_count += 1
                return "unknown"
            if not answers:
                self._put_told(key, told)
                return "looked up"
            before = [self._judged.get((key, each.arm)) for each in answers]
            if all(each is not None and each.truth == told.truth for each in before):
                return "unchanged"
            for each in answers:
                self._judge(each, told)
            self._put_told(key, told)
            return "counted" if before[0] is None else "replaced"

    def window(self, arm: str, *, seconds: float | int = 3600) -> TruthFigures:
        """Accuracy of an arm, by the truths of the last `seconds`, up to a day.

        A verdict holds for one look: whoever looks every minute will see one by chance more often than in 5 of 100.

        Raises:
            InputError: the window is longer, or none.
        """
        if not 0 < seconds <= LONGEST_WINDOW_SECONDS:
            raise InputError(
                f"a window of {seconds:g} seconds was asked for",
                hint=f"truths are counted in windows of up to {LONGEST_WINDOW_SECONDS:,} seconds",
            )
        first = _minute(self._time.now() - seconds)
        total: Counter[tuple[Attributes, bool]] = Counter()
        with self._lock:
            for (minute, of), counts in self._counts.items():
                if minute >= first and of == arm:
                    total.update(counts)
        return truth_figures(total, self._settings, seconds=seconds)

    def keep(self) -> None:
        """From now on somebody fetches what is to be written, and looks up what is not remembered."""
        self._kept = True

    def take_unwritten(self, most: int) -> tuple[list[AnsweredRequest], dict[str, ToldTruth]]:
        """Answers and truths, by request, that are to be written; whoever takes them gives back what he could not."""
        with self._lock:
            answers = [self._unwritten.popleft() for _ in range(min(most, len(self._unwritten)))]
            # A truth waits until the answer it is about is written.
            told = {} if self._unwritten else dict(self._told)
            if told:
                self._told.clear()
        return answers, told

    def give_back(self, answers: Iterable[AnsweredRequest], told: Mapping[str, ToldTruth]) -> None:
        """What could not be written, to be taken again; the oldest is dropped where it is too much."""
        with self._lock:
            for answered in reversed(list(answers)):
                if len(self._unwritten) < self._most:
                    self._unwritten.appendleft(answered)
            newer = dict(self._told)
            self._told.clear()
            for key, truth in {**told, **newer}.items():
                self._put_told(key, truth)

    def wait_for_answers(self, told: Mapping[str, ToldTruth]) -> None:
        """Truths about answers that are not in the database: another server may be about to write them."""
        since = self._time.now() - UNKNOWN_AFTER_SECONDS
        self.give_back([], {key: each for key, each in told.items() if each.at >= since})
        with self._lock:
            self.unknown_count += sum(each.at < since and key not in self._answers for key, each in told.items())

    def put(self, request_id: str, judged: JudgedAnswer) -> None:
        """An answer whose truth stands in the database; what was told here since then stays."""
        with self._lock:
            if request_id not in self._told:
                bounded = judged._replace(attributes=self._bounded(judged.attributes))
                self._put_judged((request_id, judged.arm), bounded)

    def unwritten_count(self) -> int:
        """Answers and truths that wait for the database."""
        with self._lock:
            return len(self._unwritten) + len(self._told)

    def _judge(self, answered: AnsweredRequest, told: ToldTruth) -> None:
        key = (answered.request_id, answered.arm)
        before = self._judged.get(key)
        at = told.at if before is None else before.at
        self._put_judged(key, JudgedAnswer(at, answered.arm, answered.answer, told.truth, answered.attributes))

    def _put_judged(self, key: tuple[str, str], judged: JudgedAnswer) -> None:
        if key in self._judged:
            self._count(self._judged[key], -1)
        self._judged[key] = judged
        self._count(judged, 1)
        if len(self._judged) > self._most:
            self._count(self._judged.popitem(last=False)[1], -1)

    def _count(self, judged: JudgedAnswer, times: int) -> None:
        place = (_minute(judged.at), judged.arm)
        counts = self._counts.setdefault(place, Counter())
        counts[judged.attributes, judged.answer == judged.truth] += times
        if not counts[judged.attributes, judged.answer == judged.truth]:
            del counts[judged.attributes, judged.answer == judged.truth]
            if not counts:
                del self._counts[place]

    def _put_told(self, key: str, told: ToldTruth) -> None:
        if self._kept:
            self._told[key] = told
            if len(self._told) > self._most:
                self._told.popitem(last=False)

    def _bounded(self, attributes: Iterable[tuple[str, str]]) -> Attributes:
        found = []
        for name, value in attributes:
            name, value = storable(name), storable(value)
            if name not in self._values and len(self._values) >= MOST_ATTRIBUTES:
                continue
            values = self._values.setdefault(name, set())
            if value not in values and len(values) >= MOST_VALUES:
                value = OTHERS
            elif value != OTHERS:
                values.add(value)
            found.append((name, value))
        bounded = tuple(sorted(found))
        if len(self._combinations) >= _MOST_COMBINATIONS:
            self._combinations.clear()
        return self._combinations.setdefault(bounded, bounded)


def storable(word: str) -> str:
    """A word that every database can hold, of up to 200 characters."""
    return encodable(word[:LONGEST_WORD]).replace("\x00", "")


def _minute(time: float) -> int:
    return int(time // 60)
