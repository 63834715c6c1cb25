"""`/openapi.json` for programs, and the same as a page at `/docs` for people."""

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from vitrail.pages.frame import render_page
from vitrail.pages.window import stained_window
from vitrail.serving.keys import Keys
from vitrail.serving.openapi import openapi_document
from vitrail.serving.replies import as_json

EXAMPLES = {
    ("/v1/predict", "post"): "curl -F image=@photo.jpg {address}/v1/predict",
    ("/v1/look", "post"): "curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' {address}/v1/look",
    ("/v1/feedback", "post"): (
        'curl --json \'{{"request_id": "REQUEST_ID", "truth": "CLASS"}}\' {address}/v1/feedback'
    ),
    ("/v1/metrics/{arm}", "get"): "curl '{address}/v1/metrics/all?window=5m'",
    ("/v1/routes", "put"): "curl -X PUT --json @routes.json {address}/v1/routes",
}
"""Of those that `curl ADDRESS` alone does not do."""

KINDS = {"string": "text", "integer": "whole number", "boolean": "true or false", "array": "list"}
"""Types of JSON Schema, for people."""


def api_pages(keys: Keys) -> list[Route]:
    """The addresses, for `serving.app.application`."""
    document = openapi_document(keys)

    async def program(_request: Request) -> Response:
        """For programs."""
        return as_json(document)

    async def people(request: Request) -> Response:
        """For people."""
        address = str(request.base_url).rstrip("/")
        text = render_page(
            "console/docs.html", version=document["info"]["version"], parts=described_parts(document, address),
            objects=described_objects(document), keys="securitySchemes" in document["components"],
            window=stained_window("docs"),
        )  # fmt: skip
        return HTMLResponse(text)

    return [Route("/openapi.json", program), Route("/docs", people)]


def described_parts(document: dict[str, Any], address: str) -> list[dict[str, Any]]:
    """A part for every address and method, with what the page says of it."""
    return [
        {
            "name": told["operationId"], "path": path, "method": method.upper(), "summary": told["summary"],
            "curl": _curl(path, method, address, keyed=bool(told["security"])),
            "parameters": [
                _row(each["name"], each["schema"], text=each.get("description")) for each in told["parameters"]
            ],
            "takes": _taken_rows(told.get("requestBody", {})),
            "answers": [_answer_row(status, response) for status, response in told["responses"].items()],
        }
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]  # fmt: skip


def described_objects(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The members of every object that is sent or comes back."""
    return {
        name: [_row(member, each, always=member in schema["required"]) for member, each in schema["properties"].items()]
        for name, schema in document["components"]["schemas"].items()
    }


def _curl(path: str, method: str, address: str, *, keyed: bool) -> str:
    example = EXAMPLES.get((path, method), f"curl {{address}}{path}").format(address=address)
    return example.replace("curl", "curl -H 'Authorization: Bearer KEY'", 1) if keyed else example


def _content(told: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    return told.get("content", {}).items()


def _taken_rows(told: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for every kind of body, with all types that it may have."""
    types: dict[Markup, list[str]] = {}
    for kind, content in _content(told):
        types.setdefault(schema_words(content["schema"]), []).append(kind)
    return [{"name": ", ".join(names), "always": True, "kind": words, "text": None} for words, names in types.items()]


def _answer_row(status: str, response: dict[str, Any]) -> dict[str, Any]:
    row = {"name": status, "always": True, "text": _with_code(response["description"]), "kind": ""}
    schemas = [content["schema"] for _, content in _content(response)]
    return {**row, "kind": schema_words(schemas[0])} if status < "300" and schemas else row


def _row(name: str, schema: dict[str, Any], *, text: str | None = None, always: bool = True) -> dict[str, Any]:
    said = text or schema.get("description") or schema.get("items", {}).get("description")
    return {"name": name, "always": always, "kind": schema_words(schema), "text": said and _with_code(said)}


def _with_code(text: str) -> Markup:
    """What stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if odd % 2 else part for odd, part in enumerate(parts)
    )


def schema_words(schema: dict[str, Any]) -> Markup:
    """What a schema asks for, in a few words; objects are links.

    >>> schema_words({"type": "array", "items": {"type": ["string", "null"]}})
    Markup('list of text or null')
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#object-{0}">{0}</a>').format(name)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return Markup(" or ").join(schema_words(each) for each in schema[several])
    if "enum" in schema:
        return Markup(", ").join(str(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return Markup("list of ") + schema_words(schema["items"])
    if schema.get("format") == "binary":
        return Markup("a file")
    kinds = [schema["const"]] if "const" in schema else schema["type"]
    return Markup(" or ").join(KINDS.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))
