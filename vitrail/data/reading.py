"""One image file to an upright picture of 8-bit RGB or grey, or an error that says what is wrong with the file."""

from pathlib import Path

from PIL import Image

from vitrail.data.file_contents import file_content
from vitrail.data.opened_pictures import named_faults, opened_picture
from vitrail.data.readers.photographs import READER as PHOTOGRAPHS
from vitrail.data.readers.photographs.photograph import Photograph
from vitrail.data.readers.reader import MAX_PIXELS, Wanted
from vitrail.data.tone import Tone

AS_STORED = Tone()
"""No scale was measured: 16 bits from 0 to 65,535, and floating point as each picture has it."""


def read_image(
    source: Path | str | bytes, *, frame: int = 0, tone: Tone = AS_STORED, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Read one image the way a person sees it: upright, 8 bits, `RGB` or `L`, transparency on white, fully decoded.

    Args:
        source: a file's path, or its content.
        frame: which picture of a file that holds several, from 0.
        tone: how values of more than 8 bits are shown.
        max_pixels: width times height above which the file is refused before it is decoded; `MAX_PIXELS` at most.

    Raises:
        UnreadableImageError: the message begins with the path (`image` for bytes) and says what is wrong.
    """
    name, content = ("image", source) if isinstance(source, bytes) else (str(source), file_content(source))
    with opened_picture(content, name=name, frame=frame, wanted=Wanted(max_pixels)) as picture:
        return picture.seen(tone)


def decoded_image(content: bytes, *, name: str, frame: int = 0, tone: Tone = AS_STORED) -> Image.Image:
    """`read_image` of bytes that were read before; `name` is what errors call them."""
    with opened_picture(content, name=name, frame=frame) as picture:
        return picture.seen(tone)


def upright(image: Image.Image, *, tone: Tone = AS_STORED) -> Image.Image:
    """A picture in memory, of any mode, as `read_image` gives one of a file; the picture itself is unchanged.

    Raises:
        UnreadableImageError: it has no pixels.
    """
    with named_faults("image", PHOTOGRAPHS):
        return Photograph(image).seen(tone)
