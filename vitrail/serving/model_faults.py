"""What can go wrong when a model is asked, told apart by whose fault it is."""

from vitrail.basics.errors import VitrailError


class ModelFault(VitrailError):
    """The model did not answer: it raised, crashed, hangs or is not loaded. Another one may."""


class TooLate(ModelFault):
    """The model did not answer before the deadline."""


class UnusableImage(VitrailError):
    """The image cannot be read or may not be decoded: no model would answer it."""


class Overloaded(VitrailError):
    """More is asked than can be answered in time; nothing was computed.

    Attributes:
        retry_after: whole seconds after which it is worth asking again.
    """

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, hint=f"ask again after {retry_after} s")
        self.retry_after = retry_after
