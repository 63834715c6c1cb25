"""The images a model is most wrong about, as the report shows them."""

from typing import Any

from vitrail.basics.errors import UnreadableImageError
from vitrail.data.columns import ImageHome
from vitrail.data.reading import read_image
from vitrail.data.tone import Tone
from vitrail.evaluation.judging import Judged
from vitrail.evaluation.quality import Predictions

SHOWN = 12


def most_wrong_images(judged: Judged, split: str, home: ImageHome, *, tone: Tone | None) -> list[dict[str, Any]]:
    """Images that the model is surest and wrong about, worst first; see `RunReport`.

    Args:
        judged: what was answered.
        split: about which images.
        home: folders that are left out of the paths.
        tone: on which scale pictures of more than 8 bits are shown; None: no pictures.
    """
    predictions, shown = judged.predictions[split], []
    for index in judged.quality[split].most_wrong[:SHOWN]:
        best = int(predictions.probabilities[index].argmax())
        shown.append(
            {
                "path": home.without(predictions.paths[index]),
                "label": predictions.classes[int(predictions.labels[index])],
                "predicted": predictions.classes[best],
                "probability": float(predictions.probabilities[index, best]),
                "thumbnail_source": None if tone is None else _picture(predictions, index, tone),
            }
        )
    return shown


def _picture(predictions: Predictions, index: int, tone: Tone) -> Any:
    frame = int(predictions.ids[index].partition(":")[2] or 0)
    try:
        return read_image(predictions.paths[index], frame=frame, tone=tone)
    except UnreadableImageError:  # it went away since it was judged: its line stays, without a picture
        return None
