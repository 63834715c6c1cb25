"""Requests that are refused: a status, a stable code, words, and a hint; never a path, a secret or a traceback."""

from vitrail.basics.errors import VitrailError

REASONS = {
    "bad_request": 400,
    "unauthorised": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "slow_request": 408,
    "conflict": 409,
    "too_large": 413,
    "address_too_long": 414,
    "unsupported": 415,
    "unusable_image": 422,
    "head_too_large": 431,
    "internal": 500,
    "model_failed": 503,
    "not_ready": 503,
    "unavailable": 503,
    "overloaded": 503,
    "too_late": 504,
}
"""Code in the body → HTTP status. Programs may rely on the codes."""


class Refusal(VitrailError):
    """A request that is not answered.

    Attributes:
        code: one of `REASONS`.
        retry_after: seconds after which it is worth trying again; None: it is not, as it is.
    """

    def __init__(self, code: str, message: str, *, hint: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code, self.retry_after = code, retry_after

    @property
    def status(self) -> int:
        """Of HTTP."""
        return REASONS[self.code]
