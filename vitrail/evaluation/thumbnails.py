"""Small pictures of judged images; one that went away since has none."""

from vitrail.basics.errors import UnreadableImageError
from vitrail.data.reading import read_image
from vitrail.data.tone import Tone
from vitrail.pages.thumbnails import thumbnail_uri


def picture_or_none(path: str, identity: str, *, tone: Tone) -> str | None:
    """A `data:` address of an image's small picture.

    Args:
        path: its file.
        identity: its id, which says the frame.
        tone: on which scale pictures of more than 8 bits are shown.
    """
    try:
        return thumbnail_uri(read_image(path, frame=int(identity.partition(":")[2] or 0), tone=tone))
    except UnreadableImageError:
        return None
