"""What goes over HTTP, as JSON Schema: the parts of the OpenAPI document that describe bodies."""

from typing import Any, get_args

from vitrail.monitoring.health import HealthStatus
from vitrail.serving.bodies import LONGEST_USER_ID, MOST_ATTRIBUTES, WORD
from vitrail.serving.feedback import LONGEST_TOLD
from vitrail.serving.refusals import REASONS
from vitrail.traffic.routes import NAME, ROLES

Schema = dict[str, Any]


def objects(required: str, **properties: Schema) -> Schema:
    """An object; `required` names those of its members that are always there."""
    return {"type": "object", "required": required.split(), "properties": properties}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(items: Schema, **bounds: int) -> Schema:
    """An array."""
    return {"type": "array", "items": items, **bounds}


def or_null(kind: str, **more: Any) -> Schema:
    """A type, or null."""
    return {"type": [kind, "null"], **more}


def described(schema: Schema, text: str) -> Schema:
    """With a sentence."""
    return {**schema, "description": text}


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
SECONDS: Schema = {"type": "number", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
INTERVAL: Schema = {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
BASE64: Schema = {"type": "string", "format": "byte", "contentEncoding": "base64", "minLength": 4}
USER_ID = described(
    {"type": "string", "maxLength": LONGEST_USER_ID}, "The same user always gets the same model; it is not kept."
)
ATTRIBUTE = described(
    {"type": "string", "pattern": f"^{WORD.replace('[^', '[^:')}:{WORD}$"},
    "NAME:VALUE of the image, such as `sex:F`; accuracy is told by it where truths come back.",
)


def request_schemas() -> dict[str, Schema]:
    """Of bodies that are sent."""
    beside = {
        "user_id": {**USER_ID, "type": ["string", "null"]},
        "attributes": {
            "type": ["object", "null"], "maxProperties": MOST_ATTRIBUTES, "propertyNames": {"pattern": f"^{WORD}$"},
            "additionalProperties": {"type": "string", "pattern": f"^{WORD}$"},
        },
    }  # fmt: skip
    one = objects("image", image=described(BASE64, "The file of an image."), **beside)
    many = objects("images", images=list_of(BASE64, minItems=1), **beside)
    return {
        "Image": {**one, "additionalProperties": False},
        "Images": {**many, "additionalProperties": False},
        "Form": {
            **objects("image", image={"type": "string", "format": "binary"}, user_id=USER_ID, attribute=ATTRIBUTE),
            "additionalProperties": False,
        },
        "Truth": {
            **objects("request_id truth", request_id=_told("request_id of an answer"), truth=_told("name of a class")),
            "additionalProperties": False,
        },
        "Arm": _arm(),
        "NewRoutes": {
            **objects(
                "routes",
                routes=_routes("arms"),
                packages={"type": "object", "additionalProperties": TEXT},
                based_on=described({"type": "integer"}, "The revision that is changed; 409 if it is not the last."),
                force=described({"type": "boolean"}, "Also while a rollout tries a candidate, which pauses it."),
            ),
            "additionalProperties": False,
        },
    }


def answer_schemas() -> dict[str, Schema]:
    """Of bodies that come back."""
    return {
        "Error": _error(), "Answer": _answer(), "Look": _look(), "Model": _model(), "Health": _health(),
        "Answers": objects("results", results=list_of({"anyOf": [ref("Answer"), ref("Error")]})),
        "Models": objects("models", models=list_of(ref("Model"))),
        "Figures": _figures(), "Routes": _routes("revision arms salt anonymous fallback note by"),
        "Standing": objects("status", status={"enum": ["alive", "ready", "not ready"]}),
        "TruthTaken": objects("status", status=TEXT),
        "RoutesInForce": objects(
            "routes packages problem confirmed", routes={"anyOf": [ref("Routes"), {"type": "null"}]},
            packages={"type": "object", "additionalProperties": TEXT}, problem=or_null("string"),
            confirmed={"type": "object", "additionalProperties": {"type": "integer"}},
        ),
        "RoutesWritten": objects("routes", routes=ref("Routes")),
    }  # fmt: skip


def _told(text: str) -> Schema:
    return described({"type": "string", "minLength": 1, "maxLength": LONGEST_TOLD}, text)


def _error() -> Schema:
    error = objects("code message hint", code={"enum": list(REASONS)}, message=TEXT, hint=or_null("string"))
    return objects(
        "error", error=error, request_id=TEXT,
        status=described({"const": "failure"}, "There where a model was asked and did not answer."),
    )  # fmt: skip


def _answer() -> Schema:
    return objects(
        "request_id status prediction probability probabilities model_id version arm revision inference_time "
        "original_error unlike",
        request_id=described(TEXT, "What a truth is told for later."),
        status=described({"enum": ["success", "fallback_success"]}, "Whether another model answered in its stead."),
        prediction=described(TEXT, "The class."), probability=SHARE,
        probabilities={"type": "object", "additionalProperties": SHARE},
        model_id=described(TEXT, "Who answered."), version=TEXT, arm=described(TEXT, "Whose turn it was."),
        revision={"type": "integer", "minimum": 1},
        inference_time=described(SECONDS, "Seconds from the question to the model to its answer."),
        original_error=described(or_null("string"), "Why the model whose turn it was did not answer."),
        unlike=described(or_null("boolean"), "Whether the image is unlike what the model knows; null: it cannot tell."),
        likeness=SHARE, sure=FLAG, set=list_of(TEXT), set_level=SHARE,
    )  # fmt: skip


def _look() -> Schema:
    uri = {"type": "string", "pattern": "^data:image/"}
    return objects(
        "model_id prediction", model_id=TEXT, prediction={"type": "object"}, picture=uri, attention=uri, legend=uri,
        scale=TEXT, said=TEXT, no_map=described(TEXT, "Why there is no map."),
    )  # fmt: skip


def _model() -> Schema:
    return objects(
        "model_id state why restarts waiting version classes arms", model_id=TEXT,
        state={"enum": ["loading", "ready", "failed", "stopped"]}, why=TEXT, restarts=COUNT, waiting=COUNT,
        version=or_null("string"), classes=or_null("array", items=TEXT), size=or_null("array", items=COUNT),
        device=or_null("string"), runtime=or_null("string"), why_runtime=or_null("string"),
        knows_its_images=or_null("boolean"), why_no_reference=or_null("string"), arms=list_of(ref("Arm")),
    )  # fmt: skip


def _health() -> Schema:
    status = {"enum": list(get_args(HealthStatus))}
    return objects(
        "status arms revision draining problem kept breakers kept_images", status=status,
        arms=list_of(objects("arm model_id status reason", arm=TEXT, model_id=TEXT, status=status, reason=TEXT)),
        revision=or_null("integer"), draining=FLAG, problem=or_null("string"), kept={"type": "object"},
        breakers=list_of({"type": "object"}), kept_images=or_null("object"),
    )  # fmt: skip


def _figures() -> Schema:
    time = or_null("number", minimum=0)
    confidence = objects("mean n histogram", mean=or_null("number"), n=COUNT, histogram=list_of(COUNT))
    answer = objects("count share", count=COUNT, share=SHARE)
    return objects(
        "arm window_seconds covered_seconds total_requests failure_count fallbacks_taken refused success_rate "
        "avg_inference_time p50_inference_time p95_inference_time p99_inference_time answers confidence unlike_share",
        arm=TEXT, window_seconds=SECONDS, covered_seconds=SECONDS, total_requests=COUNT, failure_count=COUNT,
        fallbacks_taken=COUNT, refused=COUNT, requests_per_second=time, success_rate=or_null("number"),
        success_rate_interval=INTERVAL, avg_inference_time=time, p50_inference_time=time, p95_inference_time=time,
        p99_inference_time=time, answers={"type": "object", "additionalProperties": answer}, confidence=confidence,
        unlike_share=or_null("number"), unlike_n=COUNT, unlike_interval=INTERVAL, shift=or_null("object"),
    )  # fmt: skip


def _arm() -> Schema:
    name = {"type": "string", "pattern": f"^{NAME}$"}
    arm = objects(
        "name model role", name=name, model=name, role={"enum": list(ROLES)},
        weight=described(SECONDS, "Of a stable arm, against the other stable ones."),
        share=described(SHARE, "Of a canary or control, of all traffic; of a shadow, of the requests copied to it."),
    )  # fmt: skip
    return {**arm, "additionalProperties": False}


def _routes(required: str) -> Schema:
    routes = objects(
        required, revision={"type": "integer", "minimum": 1}, arms=list_of(ref("Arm"), minItems=1),
        salt={"type": "string", "minLength": 1, "maxLength": 256}, anonymous={"enum": ["by weight", "first"]},
        fallback=list_of(TEXT), note=TEXT, by=TEXT,
    )  # fmt: skip
    return {**routes, "additionalProperties": False}
