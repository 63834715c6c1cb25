"""Two servers that share a PostgreSQL: one truth about routes and figures, and requests that go on without it."""

import json
from urllib.parse import quote

import pytest

from tests.postgres import PASSWORD
from tests.serving import file_of, serving, small_package

pytestmark = pytest.mark.slow

USERS = [f"user {number}" for number in range(24)]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    return {"ants": small_package(folder / "ants")}


def halves(left, right):
    """Two arms of the one model."""
    weights = {"left": left, "right": right}
    return [{"name": name, "model": "ants", "role": "stable", "weight": each} for name, each in weights.items()]


def arms_of(server):
    """Who answers each user."""
    told = [server.predict(file_of(), query=f"?user_id={user.replace(' ', '%20')}").json for user in USERS]
    assert all(each["status"] == "success" for each in told)
    return [each["arm"] for each in told]


def counted(server):
    return server.get("/v1/metrics/all?window=1h").json["total_requests"]


def kept(server):
    return server.get("/v1/health").json["kept"]


def test_two_servers_share_routes_and_figures_and_go_on_while_the_database_is_away(postgres, packages, tmp_path):
    state, shares = postgres.database("together"), {"ants": 1.0}
    begun = {"folder": tmp_path, "state": state, "interval_seconds": 0.5}
    with (
        serving(shares, packages, server="one", **begun) as one,
        serving(shares, packages, server="two", **begun) as two,
    ):
        assert one.put_routes(halves(50.0, 50.0)).status == 202
        one.until(lambda: one.get("/v1/routes").json["confirmed"] == {"one": 2, "two": 2})
        arms = arms_of(one)
        assert arms == arms_of(two) and set(arms) == {"left", "right"}
        both = 2 * len(USERS)
        one.until(lambda: counted(one) == counted(two) == both)

        answered = one.predict(file_of(), query="?attribute=site:a").json
        told = json.dumps({"request_id": answered["request_id"], "truth": answered["prediction"]}).encode()
        assert two.request("POST", "/v1/feedback", told, Content_Type="application/json").status == 202
        metrics = f"/v1/metrics/{answered['arm']}"
        one.until(lambda: one.get(metrics).json["truth"]["accuracy"]["n"] == 1)

        postgres.stop()
        one.until(lambda: not kept(one)["connected"])
        assert "refused" in kept(one)["reason"]
        assert not any(secret in json.dumps(kept(one)) for secret in (PASSWORD, quote(PASSWORD, safe="")))
        assert arms_of(one) == arms, "requests go on, by the same routes"
        assert one.put_routes(halves(1.0, 1.0)).status == 503
        postgres.start()
        both += 1 + len(USERS)
        two.until(lambda: counted(one) == counted(two) == both)

        assert two.put_routes(halves(10.0, 90.0)).status == 202
        one.until(lambda: one.get("/v1/routes").json["confirmed"] == {"one": 3, "two": 3})
        moved = arms_of(one)
        assert moved == arms_of(two)
        assert all(after == "right" for before, after in zip(arms, moved, strict=True) if before == "right")
        assert one.end() == 0
        with serving(shares, packages, server="one", **begun) as again:
            assert again.get("/v1/routes").json["routes"]["revision"] == 3, "what was decided since holds"
            assert arms_of(again) == moved
            again.until(lambda: counted(again) == both + 3 * len(USERS))
