"""Edge cases: pictures that no data set holds and every service meets. A model must answer them, always the same."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vitrail.prediction.answers import Answers, gathered_answers
from vitrail.prediction.predictor import Predictor
from vitrail.rollout.admission.contest import Contest
from vitrail.rollout.admission.gates import Gate, bounded_gate

SAME_WITHIN = 1e-3
"""How much a probability may differ between a picture alone and the same one in a batch; rounding gives some 1e-6."""

_HUGE = (4000, 3000)


def edge_pictures(real: UInt8[np.ndarray, "H W C"], *, seed: int) -> dict[str, Image.Image]:
    """The pictures by name.

    Args:
        real: one of the judged images, as the model sees it, that is turned and drained of its colours.
        seed: of the noise.
    """
    photo = Image.fromarray(real[..., :3] if real.shape[2] >= 3 else real[..., 0])
    noise = np.random.default_rng(seed).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    return {
        "blank": Image.new("RGB", (224, 224), (0, 0, 0)),
        "white": Image.new("RGB", (224, 224), (255, 255, 255)),
        "tiny": Image.new("RGB", (1, 1), (120, 40, 200)),
        "huge": photo.resize(_HUGE, Image.Resampling.NEAREST),
        "narrow": photo.resize((900, 3), Image.Resampling.NEAREST),
        "grey": photo.convert("L"),
        "transparent": photo.convert("RGBA"),
        "rotated": photo.rotate(90, expand=True),
        "upside_down": photo.rotate(180),
        "noise": Image.fromarray(noise),
    }


def edge_cases_gate(contest: Contest) -> Gate:
    """Every edge case is answered with finite probabilities, and alone as in a batch."""
    predictor, judged = contest.candidate.predictor, contest.candidate.judged
    pictures = edge_pictures(predictor.pixels(judged.paths[0]), seed=contest.policy.seed)
    faults = _faults(predictor, pictures)
    said = f"{len(pictures)} edge cases ({', '.join(pictures)}) are answered, alone as in a batch"
    if faults:
        shown = "; ".join(f"{name}: {why}" for name, why in list(faults.items())[:3])
        said = f"{len(faults)} of {len(pictures)} edge cases are not answered as they should: {shown}"
    return bounded_gate(
        "edge_cases", said, beyond=float(len(faults)), figures={"cases": list(pictures), "faults": faults}
    )


def _faults(predictor: Predictor, pictures: dict[str, Image.Image]) -> dict[str, str]:
    """By name, what is wrong with the answer."""
    try:
        together = gathered_answers(predictor.answers(list(pictures.values()), batch_size=len(pictures), workers=0))
    except ValueError as error:  # an answer that is no number, above all
        return dict.fromkeys(pictures, str(error).partition("\n")[0])
    found = {}
    for row, (name, picture) in enumerate(pictures.items()):
        fault = _fault(together, row)
        if fault is None:
            (alone,) = predictor.answers([picture], workers=0)
            fault = _fault(alone, 0) or _difference(alone, together, row)
        if fault is not None:
            found[name] = fault
    return found


def _fault(answers: Answers, row: int) -> str | None:
    if row in answers.faults:
        return answers.faults[row]
    return None if np.isfinite(answers.logits[row]).all() else "the answer is not a number"


def _difference(alone: Answers, together: Answers, row: int) -> str | None:
    apart = float(np.abs(alone.probabilities[0] - together.probabilities[row]).max())
    return None if apart <= SAME_WITHIN else f"a probability is another by {apart:.3f} in a batch"
