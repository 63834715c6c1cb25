"""What can be set about which images of a data set are used, and on which scale they are seen."""

from typing import Literal

from vitrail.basics.settings import Settings


class ImageSettings(Settings):
    """Which images may be used, and how their input is normalised."""

    on_bad_image: Literal["stop", "skip"] = "stop"
    """Whether unreadable images stop the run after the check, or are left out, named and counted."""
    normalization: Literal["weights", "domain"] = "weights"
    """Mean and standard deviation of the input: those the pretrained weights were made with, or your images' own."""
    class_names: Literal["checked", "as-written"] = "checked"
    """Whether classes that differ by case or spaces only stop a fit, or are kept apart as they are written."""
