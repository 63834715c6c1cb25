"""Images that the servers kept, joined with the truths that users told: which may be trained on, and which not."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.basics.files import explained_os_errors
from vitrail.data.identity import image_id
from vitrail.monitoring.told_requests import ToldRequest
from vitrail.monitoring.truth_figures import Attributes


@dataclass(frozen=True)
class FeedbackImage:
    """An image with its truth.

    Attributes:
        path: absolute.
        label: the truth.
        attributes: that its request carried.
    """

    path: str
    label: str
    attributes: Attributes


@dataclass(frozen=True)
class FeedbackImages:
    """What may be trained on, the latest first, and how many images were left out, by reason."""

    images: Sequence[FeedbackImage] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def feedback_images(
    told: Sequence[ToldRequest], folders: Sequence[Path], *, classes: Sequence[str], taken: Sequence[str], most: int
) -> FeedbackImages:
    """Join truths and images by request.

    Left out are: requests whose image was not kept, truths that are no class of the data, images that stand in the data
    or among the held-out images already (by content), images to which different truths were told, copies, and what is
    more than `most`.

    Args:
        told: requests, the latest first.
        folders: where servers keep images as `REQUEST_ID.EXT`.
        classes: of the data.
        taken: paths of the data and of the held-out images.
        most: how many images at most.

    Raises:
        InputError: there is no such folder.
        SystemFault: it may not be read.
    """
    kept, left_out = _files(folders), Counter[str]()
    known_sizes, by_content = _by_size(taken), defaultdict[str, list[ToldRequest]](list)
    for each in told:
        file = kept.get(each.request_id)
        if file is None:
            left_out["image not kept"] += 1
        elif each.truth not in classes:
            left_out["truth is no class of the data"] += 1
        else:
            by_content[_content(file)].append(each)
    found: list[FeedbackImage] = []
    for content, requests in by_content.items():
        file = kept[requests[0].request_id]
        if len({each.truth for each in requests}) > 1:
            left_out["different truths about one image"] += len(requests)
            continue
        left_out["copy of another"] += len(requests) - 1
        if any(_content(Path(other)) == content for other in known_sizes.get(file.stat().st_size, ())):
            left_out["in the data already"] += 1
        elif len(found) >= most:
            left_out["more than the share that feedback may have"] += 1
        else:
            found.append(FeedbackImage(str(file), requests[0].truth, requests[0].attributes))
    return FeedbackImages(found, {reason: count for reason, count in left_out.items() if count})


def _files(folders: Sequence[Path]) -> dict[str, Path]:
    """Kept images by request; files that are not ours are none."""
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"{folder}: there is no such folder of feedback images", hint=f"vitrail serve … --keep-images {folder}"
            )
        with explained_os_errors(folder):
            entries = [each for each in sorted(folder.iterdir()) if _is_image_file(each)]
        found.update({each.name.partition(".")[0]: each.absolute() for each in entries})
    return found


def _is_image_file(entry: Path) -> bool:
    return not entry.name.startswith(".") and bool(entry.suffix) and entry.is_file() and not entry.is_symlink()


def _by_size(paths: Sequence[str]) -> dict[int, list[str]]:
    """Files by their number of bytes: only those of one size are read and compared."""
    found = defaultdict[int, list[str]](list)
    for path in dict.fromkeys(paths):
        try:
            found[os.stat(path).st_size].append(path)
        except OSError:
            continue  # the fit's own check says that it is gone
    return found


def _content(file: Path) -> str:
    with explained_os_errors(file):
        return image_id(file.read_bytes())
