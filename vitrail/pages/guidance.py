"""What a Vision Transformer should not be used for, in few words, shown where it matters."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Caution:
    """One use to be careful about: what it is, why, and what to do instead."""

    topic: str
    why: str
    instead: str

    def as_json(self) -> dict[str, str]:
        """All fields as plain JSON values."""
        return asdict(self)


CAUTIONS = (
    Caution(
        "Images unlike the training images",
        "The figures on this page hold for images that come from the same source: same devices, same places, same "
        "kind of subject. On images from far away the model still answers, often with high confidence, and is often "
        "wrong.",
        "Measure again on a few hundred labelled images from the new source before trusting it there.",
    ),
    Caution(
        "Decisions about people's health or rights",
        "A score is not a diagnosis and not a judgement. Where the law asks for the reasons of a decision, attention "
        "maps do not give them: they show where the model looked, not why it decided.",
        "Let a responsible person decide, with the image in view; where reasons are required, use a method whose "
        "reasons can be read.",
    ),
    Caution(
        "Recognising persons",
        "The model was not made or tested to tell who somebody is, and in many places that use is forbidden or needs "
        "permission.",
        "Do not train it on identities, and do not use its features to find a person again.",
    ),
    Caution(
        "Hard real time",
        "The time for one image varies with load, device and image size. Nothing here guarantees an answer within a "
        "deadline.",
        "Where a late answer does harm, use a system with a guaranteed deadline and keep this one as an adviser.",
    ),
)
"""In the order in which they most often matter."""
