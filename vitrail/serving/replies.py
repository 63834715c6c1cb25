"""Answers over HTTP: JSON, and refusals that look alike wherever they come from."""

import json
from typing import Any

from starlette.responses import Response

from vitrail.serving.refusals import Refusal


def as_json(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as JSON."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "replace"), status, headers, media_type="application/json")


def refused(refusal: Refusal, *, request_id: str | None = None, closes: bool = False) -> Response:
    """`{"error": {"code": …, "message": …, "hint": …}}`, with the status that belongs to the code."""
    headers: dict[str, str] = {}
    if refusal.retry_after is not None:
        headers["retry-after"] = str(refusal.retry_after)
    if refusal.code == "unauthorised":
        headers["www-authenticate"] = 'Basic realm="vitrail", charset="UTF-8"'
    if closes or refusal.code in ("too_large", "slow_request"):
        headers["connection"] = "close"  # the rest of the body is not read
    return as_json(refusal_body(refusal, request_id=request_id), status=refusal.status, headers=headers)


def refusal_body(refusal: Refusal, *, request_id: str | None = None) -> dict[str, Any]:
    """As a program reads it."""
    told = {"code": refusal.code, "message": refusal.message, "hint": refusal.hint}
    failure = {"status": "failure"} if refusal.code in ("model_failed", "too_late") else {}
    return {**failure, **({} if request_id is None else {"request_id": request_id}), "error": told}
