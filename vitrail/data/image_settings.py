"""What can be set about which images of a data set are used, and on which scale they are seen."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vitrail.basics.settings import Settings


class ImageSettings(Settings):
    """Which images may be used, and how their input is normalised."""

    on_bad_image: Literal["stop", "skip"] = "stop"
    """Whether unreadable images stop the run after the check, or are left out, named and counted."""
    normalization: Literal["weights", "domain"] = "weights"
    """Mean and standard deviation of the input: those the pretrained weights were made with, or your images' own."""
    tone_black: Annotated[float, Field(ge=-1e300, le=1e300)] | None = None
    """The value that is shown as black, in images of more than 8 bits; None: measured on the training images."""
    tone_white: Annotated[float, Field(ge=-1e300, le=1e300)] | None = None
    """The value that is shown as white, in images of more than 8 bits; None: measured on the training images."""
    tone_window: Literal["scale", "own"] = "scale"
    """`own`: each image of more than 8 bits is shown on the window that its file asks for, where it asks for one;
    `scale`: all on one scale, so that a value is one grey level in all of them."""
    tone_inverted: bool = False
    """Whether bright becomes dark, in all images."""
    tone_clahe: Annotated[float, Field(ge=0, le=256)] = 0.0
    """Clip limit of contrast-limited adaptive histogram equalisation, which brings out faint structure where it lies;
    2 to 4 are usual, 0: there is none."""
    class_names: Literal["checked", "as-written"] = "checked"
    """Whether classes that differ by case or spaces only stop a fit, or are kept apart as they are written."""

    @model_validator(mode="after")
    def _is_a_scale(self) -> "ImageSettings":
        black, white = self.tone_black, self.tone_white
        if black is not None and white is not None and black >= white:
            raise ValueError(f"tone_black must be less than tone_white, got {black:g} and {white:g}")
        return self
