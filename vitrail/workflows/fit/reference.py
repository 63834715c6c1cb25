"""What a fit's package will know of its own images, so that unlike ones can be told from them."""

from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, Noted
from vitrail.features.heads import LearnedHeads
from vitrail.features.known_images import FrozenAnswers, known_features
from vitrail.features.split_features import SplitFeatures
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.prediction.reference_making import made_reference, why_no_reference
from vitrail.training.arm import Arm
from vitrail.workflows.fit.preparation import Prepared
from vitrail.workflows.fit.settings import FitSettings


def reference_of_fit(
    prepared: Prepared, settings: FitSettings, features: SplitFeatures, heads: LearnedHeads, arm: Arm, *, emit: Emit
) -> ShiftReference | None:
    """The reference that goes into the package; None where the images are too few or all alike, which is told.

    Args:
        prepared: the model that was kept, and the images.
        settings: of the whole fit.
        features: of the frozen model.
        heads: the probe on them.
        arm: whether the model was trained beyond it.
        emit: receives progress.
    """
    model, images = prepared.model, prepared.images
    why_none = why_no_reference(images.count("train"), images.count("val"))
    if why_none is None:
        frozen = None if arm.is_trained else FrozenAnswers(features.by_split, heads.logits)
        try:
            known = known_features(model, images, settings.pass_, frozen=frozen, emit=emit)
            return made_reference(known, classes=len(images.classes), preprocessing=model.preprocessing)
        except InputError as error:
            why_none = error.message
    emit(Noted(f"package  will not tell images that are unlike these: {why_none}"))
    return None
