"""The OpenAPI document of a server: every address, what it takes and what it answers."""

from importlib.metadata import version
from typing import Any

from vitrail.serving.api_schemas import ATTRIBUTE, TEXT, USER_ID, Schema, answer_schemas, ref, request_schemas
from vitrail.serving.figures_api import WINDOW
from vitrail.serving.keys import Keys, Right
from vitrail.serving.refusals import REASONS

IMAGE_TYPES = (
    "image/jpeg", "image/png", "image/webp", "image/tiff", "image/bmp", "image/gif", "application/dicom",
    "application/octet-stream",
)  # fmt: skip
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key is the password; any name will do."},
    "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}
TAKES_IMAGES = (400, 408, 413, 415, 422, 503, 504)
"""What can come of a request with images, beside an answer."""

OF_EVERYTHING = (403, 405, 414, 431, 500)

MEANINGS = {
    400: "The request makes no sense.", 401: "There is no key, or a wrong one.",
    403: "The request came by a foreign name or from a foreign page.", 404: "There is no such thing.",
    405: "Not with this method.", 408: "The body did not come in time.", 409: "It contradicts what there is.",
    413: "More than is taken.", 415: "The body is of a type that is not taken.",
    414: "The address is too long.", 431: "The headers are too large.",
    422: "The image cannot be read, or may not be.", 500: "The server made a mistake.",
    503: "No model answers now, or too much waits already.", 504: "There was no answer in time.",
}  # fmt: skip


def openapi_document(keys: Keys) -> dict[str, Any]:
    """The document, OpenAPI 3.1. Keys are described where they are needed."""
    rights: tuple[Right, ...] = ("predict", "administer")
    needed = {right: keys.needed_for(right) for right in rights}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vitrail", "version": version("vitrail"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Answers of image classifiers. Errors have a stable code, words and a hint.",
        },
        "paths": {path: _path(path, methods, needed) for path, methods in _paths().items()},
        "components": {
            "schemas": {**request_schemas(), **answer_schemas()},
            **({"securitySchemes": SECURITY} if any(needed.values()) else {}),
        },
    }  # fmt: skip


def _path(path: str, methods: dict[str, dict[str, Any]], needed: dict[Right, bool]) -> dict[str, Any]:
    """With what every address has: who may, and what is refused."""
    whole: dict[str, Any] = {}
    for method, told in methods.items():
        right: Right | None = told.get("right")
        guarded = right is not None and needed[right]
        refusals = sorted({*told.get("refused", ()), *((401,) if guarded else ()), *OF_EVERYTHING})
        whole[method] = {
            "operationId": told["name"], "summary": told["summary"], "tags": [told["tag"]],
            "parameters": told.get("parameters", []),
            **({"requestBody": {"required": True, "content": told["takes"]}} if "takes" in told else {}),
            "responses": {**told["answers"], **{str(status): _refusal(status) for status in refusals}},
            "security": [{name: []} for name in SECURITY] if guarded else [],
        }  # fmt: skip
    return whole


def _refusal(status: int) -> dict[str, Any]:
    codes = ", ".join(f"`{code}`" for code, of in REASONS.items() if of == status)
    headers = {
        503: {"Retry-After": {"description": "Seconds after which it is worth trying again.", "schema": _whole(1)}},
        401: {"WWW-Authenticate": {"schema": TEXT}}, 405: {"Allow": {"schema": TEXT}},
    }.get(status)  # fmt: skip
    told = {
        "description": f"{MEANINGS[status]} Code {codes}.",
        "content": {"application/json": {"schema": ref("Error")}},
    }
    return told if headers is None else {**told, "headers": headers}


def _paths() -> dict[str, dict[str, dict[str, Any]]]:
    return {**_answering(), **_figures(), **_routes(), **_standing()}


def _answering() -> dict[str, dict[str, dict[str, Any]]]:
    user = {"name": "user_id", "in": "query", "schema": USER_ID}
    attribute = {
        "name": "attribute", "in": "query", "explode": True,
        "schema": {"type": "array", "items": ATTRIBUTE, "maxItems": 8},
    }  # fmt: skip
    model = {"name": "model", "in": "query", "schema": TEXT, "description": "Id of the model; without it, the first."}
    raw = {kind: {"schema": {"type": "string", "format": "binary", "minLength": 1}} for kind in IMAGE_TYPES}
    form = {"multipart/form-data": {"schema": ref("Form")}}
    one_or_many = {"application/json": {"schema": {"oneOf": [ref("Image"), ref("Images")]}}}
    return {
        "/v1/predict": {"post": {
            "name": "predict", "summary": "One image or several to answers", "tag": "answers", "right": "predict",
            "parameters": [user, attribute], "takes": {**raw, **form, **one_or_many}, "refused": TAKES_IMAGES,
            "answers": _ok({"anyOf": [ref("Answer"), ref("Answers")]}, "An answer, or one for each of several images."),
        }},
        "/v1/look": {"post": {
            "name": "look", "summary": "Where a model looks on an image", "tag": "answers", "right": "predict",
            "parameters": [model], "takes": {**raw, **form, "application/json": {"schema": ref("Image")}},
            "refused": (404, *TAKES_IMAGES),
            "answers": _ok(ref("Look"), "The picture as the model sees it, and its attention, as data URIs."),
        }},
        "/v1/feedback": {"post": {
            "name": "feedback", "summary": "The truth about an image that was answered", "tag": "answers",
            "right": "predict", "takes": {"application/json": {"schema": ref("Truth")}},
            "refused": (400, 404, 408, 409, 413, 503), "answers": _ok(ref("TruthTaken"), "It is taken.", status=202),
        }},
    }  # fmt: skip


def _figures() -> dict[str, dict[str, dict[str, Any]]]:
    window = {
        "name": "window", "in": "query", "schema": {"type": "string", "pattern": f"^({WINDOW})$", "default": "5m"},
        "description": "`5m`, `90s`, `1h` or seconds, up to an hour.",
    }  # fmt: skip
    arm = {
        "name": "arm", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1},
        "description": "Name of an arm, or `all` for the requests as users see them.",
    }  # fmt: skip
    return {
        "/v1/models": {"get": {
            "name": "models", "summary": "The models, their states and arms", "tag": "figures", "right": "predict",
            "answers": _ok(ref("Models"), "The models."),
        }},
        "/v1/health": {"get": {
            "name": "health", "summary": "How every arm is, and why", "tag": "figures", "right": "administer",
            "parameters": [window], "refused": (400,), "answers": _ok(ref("Health"), "The worst of all, and each."),
        }},
        "/v1/metrics/{arm}": {"get": {
            "name": "metrics", "summary": "Figures of an arm over a window", "tag": "figures", "right": "administer",
            "parameters": [arm, window], "refused": (400, 404), "answers": _ok(ref("Figures"), "The figures."),
        }},
        "/metrics": {"get": {
            "name": "prometheus", "summary": "Counters for Prometheus", "tag": "figures", "right": "administer",
            "answers": {"200": {"description": "Counters since the server began.",
                                "content": {"text/plain": {"schema": TEXT}}}},
        }},
    }  # fmt: skip


def _routes() -> dict[str, dict[str, dict[str, Any]]]:
    return {"/v1/routes": {
        "get": {
            "name": "routes", "summary": "Which share of the traffic goes where", "tag": "routes",
            "right": "administer", "answers": _ok(ref("RoutesInForce"), "The revision in force."),
        },
        "put": {
            "name": "write_routes", "summary": "Write the next revision of the routes", "tag": "routes",
            "right": "administer", "takes": {"application/json": {"schema": ref("NewRoutes")}},
            "refused": (400, 408, 409, 413, 503),
            "answers": _ok(ref("RoutesWritten"), "It is in force as soon as its models answer.", status=202),
        },
    }}  # fmt: skip


def _standing() -> dict[str, dict[str, dict[str, Any]]]:
    ready = _ok(ref("Standing"), "Requests should be sent here.")
    not_ready = {"503": {"description": "Not now.", "content": {"application/json": {"schema": ref("Standing")}}}}
    return {
        "/healthz": {"get": {
            "name": "alive", "summary": "Whether the process lives", "tag": "standing",
            "answers": _ok(ref("Standing"), "It does."),
        }},
        "/readyz": {"get": {
            "name": "ready", "summary": "Whether a real answer was given a moment ago", "tag": "standing",
            "answers": {**ready, **not_ready},
        }},
    }  # fmt: skip


def _ok(schema: Schema, text: str, *, status: int = 200) -> dict[str, Any]:
    return {str(status): {"description": text, "content": {"application/json": {"schema": schema}}}}


def _whole(least: int) -> Schema:
    return {"type": "integer", "minimum": least}
