"""One image to one answer: whose turn it is, who answers if that one fails, and what is counted of it."""

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from vitrail.monitoring.live_figures import ALL_REQUESTS
from vitrail.monitoring.recent_errors import RecentErrors
from vitrail.monitoring.tally import Outcome, Status
from vitrail.serving.breakers import Breakers, Permit
from vitrail.serving.fallback import order_of_models
from vitrail.serving.fleet import Fleet
from vitrail.serving.model_faults import ModelFault, Overloaded, TooLate, UnusableImage
from vitrail.serving.refusals import Refusal
from vitrail.serving.served_model import Said, ServedModel
from vitrail.traffic.assignment import assigned_arm, shadow_arms
from vitrail.traffic.routes import Arm, Routes

MOST_SHADOWED = 8
"""Copies for shadows that are under way at once; more are dropped: a shadow never slows a user."""


@dataclass(frozen=True, slots=True)
class Question:
    """One image, and what is known of it.

    Attributes:
        deadline: on the monotonic clock.
        attributes: of the image.
        id: what truth is told for later, and copies are paired by.
    """

    image: bytes
    deadline: float
    user_id: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@runtime_checkable
class Watcher(Protocol):
    """What is told of everything that happens; both must return at once."""

    def count(self, arm: str, outcome: Outcome) -> None:
        """Something came of asking an arm, or (under `ALL_REQUESTS`) of a request."""

    def answered(self, request_id: str, arm: str, answer: str, attributes: Mapping[str, str]) -> None:
        """An arm answered; its truth may be told later."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to a question.

    Attributes:
        arm: whose turn it was.
        counted: the arm that it is counted for: of the model that answered.
        model: who answered.
        error: why the model whose turn it was did not, if so.
    """

    question: Question
    arm: Arm
    counted: Arm
    model: ServedModel
    said: Said
    revision: int
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """As clients get it."""
        prediction = self.said.prediction
        return {
            "request_id": self.question.id,
            "status": "success" if self.error is None else "fallback_success",
            "prediction": prediction["label"],
            "probability": prediction["probability"],
            "probabilities": prediction["probabilities"],
            "model_id": self.model.name,
            "version": self.model.facts.get("version"),
            "arm": self.arm.name,
            "revision": self.revision,
            "inference_time": round(self.said.seconds, 6),
            "original_error": self.error,
            "unlike": prediction.get("unlike"),
            **{name: prediction[name] for name in ("likeness", "sure", "set", "set_level") if name in prediction},
        }


class Answering:
    """Answers questions with the models of a fleet.

    Args:
        fleet: the models and the routes.
        breakers: say whom not to ask.
        errors: keep the last ones.
        watcher: counts what comes of it, and keeps answers for truths that come later.
        keep: receives the id and the bytes of every image that a user was given an answer to; must return at once.
    """

    def __init__(
        self, fleet: Fleet, breakers: Breakers, errors: RecentErrors, watcher: Watcher,
        keep: Callable[[str, bytes], None] | None = None,
    ) -> None:  # fmt: skip
        self._fleet, self._breakers, self._errors, self._watcher = fleet, breakers, errors, watcher
        self._keep = keep
        self._random = random.Random()  # of anonymous requests: nothing hangs on which one
        self._shadowed: set[asyncio.Task[None]] = set()
        self.users_waiting = 0

    async def answer(self, question: Question) -> Answer:
        """The answer, by the model whose turn it is or another one in its stead.

        Raises:
            Refusal: the image cannot be used, more is asked than can be answered, or no model answered.
        """
        routes = self._fleet.routes
        if routes is None:
            raise Refusal("not_ready", "no model is served yet", retry_after=5)
        arm = assigned_arm(routes, question.user_id, self._random)
        self.users_waiting += 1
        try:
            answer = await self._by_somebody(question, routes, arm)
        except Refusal as refusal:
            counted: Status = "failure" if refusal.code in ("model_failed", "too_late") else "refused"
            self._watcher.count(ALL_REQUESTS, Outcome(counted))
            raise
        finally:
            self.users_waiting -= 1
        self._count_answer(answer)
        if self._keep is not None:
            self._keep(question.id, question.image)
        self._shadow(question, routes)
        return answer

    async def _by_somebody(self, question: Question, routes: Routes, arm: Arm) -> Answer:
        """Each model in turn that may be asked, until one answers."""
        why: list[str] = []
        models = self._fleet.models  # those of these routes, whatever changes while they are asked
        for name in order_of_models(routes, arm):
            model = models[name]
            if model.state == "stopped" or (model.state == "loading" and not model.has_answered):
                why.append(f"model {name} {model.why}")
                continue
            permit = self._breakers.admitted(name)
            if permit is None:
                why.append(f"model {name} is left alone after failures")
                continue
            said = await self._asked(model, permit, question, arm)
            if isinstance(said, Said):
                counted = arm if name == arm.model else arm_of(routes, name)
                return Answer(question, arm, counted, model, said, routes.revision, why[0] if why else None)
            why.append(said.message)
            self._count_failure(arm if name == arm.model else arm_of(routes, name), said)
            if time.monotonic() >= question.deadline:
                raise Refusal("too_late", said.message, hint="the request's time is over")
        if not any(model.has_answered for model in self._fleet.models.values()):
            raise Refusal("not_ready", "no model has been loaded yet: " + "; ".join(why), retry_after=2)
        waits = self._breakers.seconds_to_probe(routes.models)
        raise Refusal(
            "model_failed", "no model answered: " + "; ".join(why), retry_after=max(1, round(waits or 1.0))
        )  # fmt: skip

    async def _asked(self, model: ServedModel, permit: Permit, question: Question, arm: Arm) -> Said | ModelFault:
        """What a model says, or why it does not.

        Raises:
            Refusal: for no fault of the model's: no other would answer either.
        """
        try:
            said = await model.ask(question.image, deadline=question.deadline)
        except ModelFault as fault:
            permit.failed(fault.message)
            return fault
        except (UnusableImage, Overloaded) as error:
            permit.abandoned()
            self._watcher.count(arm.name, Outcome("refused"))
            if isinstance(error, Overloaded):
                raise Refusal("overloaded", error.message, retry_after=error.retry_after) from None
            raise Refusal("unusable_image", error.message, hint=error.hint) from None
        except BaseException:  # whoever asked is gone
            permit.abandoned()
            raise
        permit.succeeded()
        return said

    def _count_answer(self, answer: Answer) -> None:
        prediction = answer.said.prediction
        status: Status = "success" if answer.error is None else "fallback_success"
        outcome = Outcome(
            status, answer.said.seconds, prediction["label"], prediction["probability"], prediction.get("unlike")
        )
        self._watcher.count(answer.counted.name, outcome)
        self._watcher.count(ALL_REQUESTS, outcome)
        self._watcher.answered(answer.question.id, answer.counted.name, prediction["label"], answer.question.attributes)

    def _count_failure(self, arm: Arm, error: ModelFault) -> None:
        self._watcher.count(arm.name, Outcome("failure"))
        self._errors.add(arm.name, "too late" if isinstance(error, TooLate) else "model failed", error.message)

    # --------------------------------------------------------------------------------------------- shadows

    def _shadow(self, question: Question, routes: Routes) -> None:
        """Copies for the shadow arms, answered when nobody waits, or dropped."""
        for arm in shadow_arms(routes, question.id):
            if len(self._shadowed) >= MOST_SHADOWED:
                self._watcher.count(arm.name, Outcome("refused"))
                continue
            task = asyncio.create_task(self._answered_in_shadow(question, arm))
            self._shadowed.add(task)
            task.add_done_callback(self._shadowed.discard)

    async def _answered_in_shadow(self, question: Question, arm: Arm) -> None:
        last = time.monotonic() + 10.0
        while self.users_waiting and time.monotonic() < last:
            await asyncio.sleep(0.01)
        model = self._fleet.models.get(arm.model)
        if self.users_waiting or model is None:
            self._watcher.count(arm.name, Outcome("refused"))
            return
        try:
            said = await model.ask(question.image, deadline=time.monotonic() + 10.0)
        except (UnusableImage, Overloaded):
            self._watcher.count(arm.name, Outcome("refused"))
        except ModelFault as error:
            self._count_failure(arm, error)
        else:
            told = said.prediction
            self._watcher.count(
                arm.name, Outcome("success", said.seconds, told["label"], told["probability"], told.get("unlike"))
            )
            self._watcher.answered(question.id, arm.name, told["label"], question.attributes)


def arm_of(routes: Routes, model: str) -> Arm:
    """The arm under which a model that answers in another's stead is counted: its first stable one, or its first."""
    arms = [arm for arm in routes.arms if arm.model == model]
    return next((arm for arm in arms if arm.role == "stable"), arms[0])
