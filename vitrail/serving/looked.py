"""In a model process: where a model looks on one image, drawn for the console."""

from typing import Any

from vitrail.features.attention.layers import NoTokenAttention
from vitrail.features.attention.map import attention_map
from vitrail.pages.heat import SCALE_WORDS, heat_legend, heat_picture, picture_uri, plain_picture
from vitrail.prediction.predictor import Predictor


def looked_at(predictor: Predictor, content: bytes) -> dict[str, Any]:
    """The answer, the picture as the model sees it, and the attention of its last layer over it, as data URIs.

    Raises:
        UnreadableImageError: the image cannot be read.
    """
    prediction = predictor.predict(content)[0]
    told: dict[str, Any] = {"prediction": prediction.as_json()}
    try:
        seen = attention_map(predictor, content, head=None)
    except NoTokenAttention as error:
        return {**told, "picture": picture_uri(plain_picture(predictor.pixels(content))), "no_map": error.message}
    if seen.picture is None:
        return told
    return {
        **told,
        "picture": picture_uri(plain_picture(seen.picture)),
        "attention": picture_uri(heat_picture(seen.picture, seen.times_even, seen.patch)),
        "legend": picture_uri(heat_legend()),
        "scale": SCALE_WORDS,
        "said": repr(seen),
    }
