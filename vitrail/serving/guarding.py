"""The door of an address: who may come in, and how what goes wrong behind it is told to clients."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from vitrail.basics.database import DatabaseConflict
from vitrail.basics.errors import SystemFault, VitrailError
from vitrail.serving.keys import Keys, Right
from vitrail.serving.refusals import Refusal
from vitrail.serving.replies import refused

Handler = Callable[[Request], Awaitable[Response]]


def guarded(keys: Keys, right: Right | None, handler: Handler) -> Handler:
    """A handler that answers only those who have a right, and refuses in our words where it raises ours.

    Args:
        keys: of the server.
        right: None: everybody may.
        handler: of an address.
    """

    async def handle(request: Request) -> Response:
        try:
            if right is not None:
                keys.refuse_stranger(right, request.headers)
            return await handler(request)
        except Refusal as refusal:
            return refused(refusal)
        except DatabaseConflict:
            said = "somebody else was quicker"
            return refused(Refusal("conflict", said, hint="look at what is there now, and try again"))
        except SystemFault:  # it names a file or a machine, which is nobody's business here
            return refused(Refusal("unavailable", "what servers share cannot be reached now", retry_after=5))
        except VitrailError as error:
            return refused(Refusal("bad_request", error.message, hint=error.hint))

    return handle
