"""Stages: what is trained when, as a table that is computed from the settings before anything runs."""

from dataclasses import dataclass
from typing import Literal

from vitrail.basics.errors import InputError
from vitrail.models.chain import Chain
from vitrail.training.settings import TrainingSettings

CLASSIFICATION = "classification"

MOST_VIEWS = 4
EPOCHS_PER_VIEW = 2


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
        name: `head`, `top` or `all`.
        epochs: walks through the training images.
        learning_rate: peak rate of the last layer.
        cut: place in the model's `Chain` before which nothing is trained in the whole stage.
        blocks: number of blocks that are released one after the other (0: all that is trained is trained from the
            beginning).
        views: fixed views per image; None: a new one every epoch.
        cached: whether what stands at `cut` is computed once per view.
        objective: name of what is minimised.
        begins: with the model's weights of the last step before it, or with the best ones of the stage before; what is
            trained beside the model goes on from the last step.
        sizes: sides of the images in pixels, each for an equal part of the steps, in order; none: the model's own.
    """

    name: str
    epochs: int
    learning_rate: float
    cut: int
    blocks: int
    views: int | None
    cached: bool
    objective: str = CLASSIFICATION
    begins: Literal["last", "best"] = "last"
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.cached and self.sizes:
            raise InputError(
                f"stage {self.name} is cached, and so at one size only; {len(self.sizes)} sizes were asked for",
                hint="--set cache=off",
            )

    def trained_from(self, epoch: int) -> int:
        """The first place behind which parameters are trained in this epoch, counted from 0 within the stage.

        Blocks are released from the last one down, one at a time where there are epochs enough, over the first half
        of the stage.
        """
        if not self.blocks:
            return self.cut
        pause = max(1, self.epochs // (2 * self.blocks))
        one_at_a_time, by_share = 1 + epoch // pause, -(-(epoch + 1) * self.blocks // self.epochs)
        released = one_at_a_time if self.epochs >= self.blocks else by_share
        return self.cut + self.blocks - min(released, self.blocks)

    def size_at(self, step: int, steps: int) -> int | None:
        """Side of the images in pixels at a step of a stage of so many; None: the model's own."""
        if not self.sizes:
            return None
        return self.sizes[min(step * len(self.sizes) // steps, len(self.sizes) - 1)]


def default_epochs(preset: str, images: int) -> dict[str, int]:
    """Stages and their epochs by preset and number of training images, in the order of training.

    The probe has already trained the classifier, so standard training goes on with the whole network, or with the top
    blocks where images are few. The more images, the fewer walks through them, so
    that steps grow much more slowly than the data.
    """
    if preset == "quick":
        return {}
    whole = 5 if images < 3_000 else 4 if images < 30_000 else 3
    if preset == "thorough":
        return {"head": 10, "top": 5, "all": 3 * whole}
    return {"top": whole} if images < 200 else {"all": whole}


def planned_stages(settings: TrainingSettings, chain: Chain, *, images: int) -> tuple[Stage, ...]:
    """The stages that the settings ask for; caching is still only what is possible, not what fits on the disk.

    Raises:
        InputError: more blocks are to be unfrozen than there are, or the cache is asked for and cannot be had.
    """
    defaults = default_epochs(settings.preset, images)
    names = settings.stages if settings.stages is not None else tuple(defaults)
    usual = defaults or default_epochs("standard", images)
    fallback = {"head": 10, "top": 5, "all": 5, **usual}
    epochs = {
        name: getattr(settings, f"{name}_epochs") or max(1, round(fallback[name] * settings.epochs_factor))
        for name in names
    }
    # One number for all stages, so that they can share what is cached.
    shortest = min((epochs[name] for name in names if name != "all"), default=0)
    views = settings.views or max(1, min(MOST_VIEWS, -(-shortest // EPOCHS_PER_VIEW)))
    return tuple(_stage(name, epochs[name], views, settings, chain) for name in names)


def _stage(name: str, epochs: int, views: int, settings: TrainingSettings, chain: Chain) -> Stage:
    if name == "all":
        return Stage("all", epochs, settings.peak_rate, 0, 0, None, cached=False)
    if name == "head":
        cut, blocks, peak = chain.pooled, 0, settings.head_peak_rate
    else:
        cut, blocks = _top_cut(settings.unfreeze, chain)
        peak = settings.peak_rate
    possible = chain.can_cut(cut)
    if settings.cache == "on" and not possible:
        raise InputError(
            f"the cache was asked for, but this model cannot be cut before its top blocks: {chain.order.why_not}",
            hint="leave --set cache=on out",
        )
    pays = settings.cache == "on" or (settings.cache == "auto" and epochs > views)
    cached = possible and pays
    return Stage(name, epochs, peak, cut, blocks, views if cached or settings.views else None, cached)


def _top_cut(blocks: int, chain: Chain) -> tuple[int, int]:
    """The place before the last `blocks` blocks, and their number."""
    places = chain.order.blocks
    if blocks > len(places):
        raise InputError(
            f"{blocks} blocks were to be unfrozen, the model has {len(places)}",
            hint=f"--set unfreeze={max(1, len(places) // 4)}, or --stages all for the whole network",
        )
    return places[-blocks], blocks
