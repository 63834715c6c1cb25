"""Which users came to a canary or its control is counted whoever answers in the end; nobody else's are."""

import asyncio

from tests.serving import file_of
from tests.unit.serving.made_up_service import made_up_service
from vitrail.monitoring.exposures import hashed_user
from vitrail.serving.answering import Question
from vitrail.serving.model_faults import ModelFault
from vitrail.serving.served_model import Said
from vitrail.traffic.routes import Arm

ARMS = (
    Arm("ants", "ants", weight=1.0), Arm("next", "new", "canary", share=0.2), Arm("now", "ants", "control", share=0.2),
)  # fmt: skip


def test_users_are_counted_where_they_were_sent_also_where_another_model_answered() -> None:
    service = made_up_service(ARMS)

    async def answers(*_: object, **__: object) -> Said:
        return Said({"label": "ant", "probability": 0.9, "probabilities": {}}, 0.01)

    async def fails(*_: object, **__: object) -> Said:
        raise ModelFault("model new failed")

    async def ask_all() -> dict[str, str]:
        service.fleet.models["ants"].ask, service.fleet.models["new"].ask = answers, fails  # type: ignore[method-assign]
        told = {}
        for user in [f"user {number}" for number in range(40)] * 2:
            answer = await service.answering.answer(Question(file_of(1), deadline=1e12, user_id=user))
            told[user] = answer.arm.name
        return told

    arms = asyncio.run(ask_all())
    counted = {each.arm: each for each in service.exposed.changed()}
    assert set(counted) == {"next", "now"} and "ants" in arms.values()
    for name, users in counted.items():
        expected = sorted(hashed_user(user, "vitrail") for user, arm in arms.items() if arm == name)
        assert (users.revision, users.unnamed, list(users.hashes)) == (1, 0, expected)
