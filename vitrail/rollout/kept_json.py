"""What a rollout keeps as JSON, read again and not believed."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from vitrail.basics.errors import DamagedError


def read_again(kind: TypeAdapter, values: Any, *, what: str) -> Any:
    """The object that these values were made of.

    Raises:
        DamagedError: they are not; `what` is what errors call it.
    """
    try:
        return kind.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "it"
        raise DamagedError(
            f"the {what} of a rollout cannot be read: {place}: {first['msg']}",
            hint="it was changed by something else than Vitrail, or written by a newer one",
        ) from None
