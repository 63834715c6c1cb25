"""Asks every model that nobody has asked for a while: being ready means that an answer was given a moment ago."""

import asyncio
import time

from vitrail.serving.breakers import Breakers
from vitrail.serving.fleet import Fleet
from vitrail.serving.model_faults import ModelFault, Overloaded, UnusableImage
from vitrail.serving.served_model import ServedModel

RECENT_SECONDS = 30.0
"""An answer that is older says nothing about now."""


async def probe_for_ever(fleet: Fleet, breakers: Breakers, *, seconds: float) -> None:
    """Ask models that have not answered for so many seconds, until it is cancelled.

    A model that was left alone is tried again here, too, at no user's expense.
    """
    while True:
        await asyncio.sleep(seconds / 5)
        due = [model for model in fleet.models.values() if model.state == "ready" and _is_due(model, seconds)]
        await asyncio.gather(*(_probe(model, breakers) for model in due))


def answered_lately(fleet: Fleet) -> bool:
    """Whether a model that has traffic has given a real answer within the last half minute."""
    now = time.monotonic()
    served = {arm.model for arm in fleet.routes.stable_arms if arm.weight} if fleet.routes else set()
    return any(
        model.state == "ready" and model.last_answer is not None and now - model.last_answer < RECENT_SECONDS
        for name, model in fleet.models.items()
        if name in served
    )


def _is_due(model: ServedModel, seconds: float) -> bool:
    return not model.waiting and (model.last_answer is None or time.monotonic() - model.last_answer > seconds)


async def _probe(model: ServedModel, breakers: Breakers) -> None:
    permit = breakers.admitted(model.name)
    if permit is None:
        return
    try:
        await model.probe(deadline=time.monotonic() + model.bounds.hang_seconds)
    except (Overloaded, UnusableImage):
        permit.abandoned()
    except ModelFault as error:
        permit.failed(error.message)
    except BaseException:
        permit.abandoned()
        raise
    else:
        permit.succeeded()
