"""What can be set for `vitrail look`."""

from typing import Annotated

from pydantic import Field

from vitrail.basics.settings import Settings


class LookSettings(Settings):
    """Settings of `vitrail look`."""

    layer: int = -1
    """Whose attention is shown: 0 is the first layer that attends, -1 the last."""
    head: int | None = 0
    """Which of its heads: 0 is the first; None: the mean of all."""
    of_class: str | None = None
    """The class that relevance is for, by name or number; None: the one that the model answers, image by image."""
    judged_maps: int = Field(default=8, ge=0)
    """Of so many images, the first ones, rollout and relevance are judged: do they say more than chance?"""
    random_maps: int = Field(default=19, ge=1, le=999)
    """Random maps that each of them is compared with; fewer than 19 can never say more than chance."""
    removed: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.1, 0.4)
    """Shares of the patches that are taken away to see, beside none and all: each costs a forward pass a map."""
    shown: int = Field(default=12, ge=0)
    """Images on the page; a picture of every image is in the folder."""
    seed: int = Field(default=0, ge=0)
    """Of the random maps."""
