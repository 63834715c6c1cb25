"""The OpenAPI document and its page: what stands there is what there is, guarded as everything else."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from tests.unit.serving.made_up_service import count, made_up_service
from vitrail.serving.api_pages import api_pages
from vitrail.serving.app import application
from vitrail.serving.console.pages import Console
from vitrail.serving.keys import Keys
from vitrail.serving.openapi import openapi_document
from vitrail.serving.refusals import REASONS
from vitrail.traffic.routes import Arm

PREDICT, ADMIN = "a-key-for-predicting", "a-key-for-administration"
KEYED = {"VITRAIL_PREDICT_KEY": PREDICT, "VITRAIL_ADMIN_KEY": ADMIN}
ARMS = (Arm("ants", "ants", weight=1.0),)
PAGES = ("/", "/console/live", "/console.js", "/docs", "/openapi.json")


def app_with(environment: Mapping[str, str]) -> Starlette:
    service, keys = made_up_service(ARMS), Keys(None, None, environment)
    count(service, "ants", 30)
    return application(service, keys, pages=[*Console(service).routes(), *api_pages(keys)])


def answered(path: str, environment: Mapping[str, str], **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app_with(environment))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def test_every_address_of_the_server_stands_in_the_document_and_no_other() -> None:
    there = {
        (route.path, method.lower())
        for route in app_with({}).routes
        for method in route.methods - {"HEAD"}
        if route.path not in PAGES
    }
    told = {
        (path, method)
        for path, methods in openapi_document(Keys(None, None, {}))["paths"].items()
        for method in methods
    }

    assert told == there


def test_every_refusal_that_there_is_can_be_found_in_the_document() -> None:
    told = str(openapi_document(Keys(None, None, KEYED))["paths"])

    assert [code for code in REASONS if f"`{code}`" not in told] == []


@pytest.mark.parametrize("environment", [{}, KEYED])
def test_keys_stand_in_the_document_where_they_are_needed(environment: dict[str, str]) -> None:
    document = openapi_document(Keys(None, None, environment))
    predict, alive = document["paths"]["/v1/predict"]["post"], document["paths"]["/healthz"]["get"]

    assert bool(predict["security"]) == ("401" in predict["responses"]) == bool(environment)
    assert not alive["security"]


def test_the_document_holds_no_reference_to_nothing() -> None:
    document = openapi_document(Keys(None, None, KEYED))

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            return {value["$ref"]} if "$ref" in value else set().union(*(references(each) for each in value.values()))
        return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert names <= set(document["components"]["schemas"])
    assert names  # there are some


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_for_administrators_whose_browser_asks_for_the_key(path: str) -> None:
    stranger = answered(path, KEYED)
    assert stranger.status_code == 401
    assert stranger.headers["www-authenticate"].startswith("Basic ")
    basic = base64.b64encode(f"anyone:{ADMIN}".encode()).decode()
    assert answered(path, KEYED, authorization=f"Basic {basic}").status_code == 200
    assert answered(path, KEYED, authorization=f"Bearer {PREDICT}").status_code == 401
    assert answered(path, {}).status_code == 200


def test_the_page_of_addresses_has_a_command_for_each_with_a_key_where_one_is_needed() -> None:
    page = answered("/docs", KEYED, authorization=f"Bearer {ADMIN}").text

    assert "curl -H &#39;Authorization: Bearer KEY&#39; -F image=@photo.jpg http://127.0.0.1:8000/v1/predict" in page
    assert "curl http://127.0.0.1:8000/healthz" in page
    assert page.count("<pre>") == sum(map(len, openapi_document(Keys(None, None, {}))["paths"].values()))


@pytest.mark.parametrize("names", [(), ("VITRAIL_PREDICT_KEY",), ("VITRAIL_ADMIN_KEY",)])
def test_a_foreign_name_is_answered_only_where_a_key_stands_before_everything(names: tuple[str, ...]) -> None:
    environment = dict.fromkeys(names, "a key of sixteen or more")
    assert answered("/healthz", environment, host="evil.example:8000").status_code == 403
    both = dict.fromkeys(("VITRAIL_PREDICT_KEY", "VITRAIL_ADMIN_KEY"), "a key of sixteen or more")
    assert answered("/healthz", both, host="evil.example:8000").status_code == 200
