"""The images a model is most wrong about, as the report shows them."""

from typing import Any

from vitrail.basics.errors import UnreadableImageError
from vitrail.data.columns import ImageHome
from vitrail.data.reading import read_image
from vitrail.data.tone import Tone
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.section import Figures, Section
from vitrail.pages.thumbnails import thumbnail_uri

SHOWN = 12


def most_wrong_section(judged: JudgedImages, worst: tuple[int, ...], home: ImageHome, *, tone: Tone | None) -> Section:
    """Images that the model is surest and wrong about, worst first.

    Args:
        judged: images and answers.
        worst: positions in it, worst first.
        home: folders that are left out of the paths.
        tone: on which scale pictures of more than 8 bits are shown; None: no pictures.
    """
    shown = worst[:SHOWN]
    best = judged.predicted
    images = [
        {
            "path": home.without(judged.paths[place]),
            "label": judged.classes[int(judged.labels[place])],
            "predicted": judged.classes[int(best[place])],
            "probability": float(judged.probabilities[place, best[place]]),
        }
        for place in shown
    ]

    def pictures(figures: Figures) -> dict[str, Any]:
        return {"pictures": [None if tone is None else _picture(judged, place, tone) for place in shown]}

    return Section(
        "most_wrong", 1, "Most wrong", {"images": images}, template="sections/most_wrong.html", draw=pictures
    )  # fmt: skip


def _picture(judged: JudgedImages, place: int, tone: Tone) -> str | None:
    frame = int(judged.ids[place].partition(":")[2] or 0)
    try:
        return thumbnail_uri(read_image(judged.paths[place], frame=frame, tone=tone))
    except UnreadableImageError:  # it went away since it was judged: its line stays, without a picture
        return None
