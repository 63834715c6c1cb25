"""What names of folders say: splits under any of their usual names, folds, parts of a data set, what is none of it."""

import re
from collections.abc import Collection, Sequence

from vitrail.data.columns import SPLIT_NAMES

# Words that stand beside `train` and `test` and add nothing.
_NEUTRAL = {
    "set", "sets", "data", "dataset", "datasets", "image", "images", "img", "imgs", "pic", "pics", "picture",
    "pictures", "photo", "photos", "folder", "split", "sample", "samples", "the", "all", "new", "final", "jpg", "png",
}  # fmt: skip
_YEAR = re.compile(r"(19|20)\d\d")
_FOLD = re.compile(r"(k?folds?|cv|cross[-_ ]?val(idation)?|splits?|partitions?)[-_ ]?\d+", re.IGNORECASE)
_PARTS = {
    "image", "images", "img", "imgs", "jpegimages", "mask", "masks", "label", "labels", "annotation", "annotations",
    "segmentation", "segmentations", "groundtruth", "gt", "json", "xml", "csv", "bbox", "boxes",
}  # fmt: skip

_OTHERS = {
    "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "__pycache__",
}  # fmt: skip
_TOOLS = {"mlruns", "wandb", "lightning_logs"}


def is_passed_over(name: str) -> bool:
    """Whether a folder is hidden, or what another program puts beside images."""
    return name.startswith(".") or name.lower() in _OTHERS


def is_like_a_tool(name: str) -> bool:
    """Whether a folder is called like one in which a program for training keeps its runs."""
    return name.lower() in _TOOLS


def is_ours(files: Collection[str]) -> bool:
    """Whether a folder with these files is a run, a package or a feature store: none of the user's images."""
    return any(
        all(name in files for name in marks)
        for marks in (("journal.jsonl",), ("vitrail.json",), ("manifest.json", "shards"), ("vitrail-unfinished-pass",))
    )


def splits_of(names: Sequence[str]) -> dict[str, str]:
    """The split of every folder that is called like one; words that all such folders share say nothing.

    >>> splits_of(["training_set", "TestSet"]), splits_of(["seg_train", "seg_test"]), splits_of(["cats", "dogs"])
    ({'training_set': 'train', 'TestSet': 'test'}, {'seg_train': 'train', 'seg_test': 'test'}, {})
    """
    words = {name: _words(name) for name in names}
    candidates = [each for each in words.values() if each & SPLIT_NAMES.keys()]
    shared = set.intersection(*candidates) if len(candidates) > 1 else set()
    found = {}
    for name, each in words.items():
        telling = [word for word in each - _NEUTRAL - shared if not _YEAR.fullmatch(word)]
        if len(telling) == 1 and telling[0] in SPLIT_NAMES:
            found[name] = SPLIT_NAMES[telling[0]]
    return found


def are_like_splits(names: Sequence[str]) -> bool:
    """Whether every folder has a split in its name, and not all the same: `train_1`, `train_2`, `test`."""
    found = [_words(name) & SPLIT_NAMES.keys() for name in names]
    return all(found) and len({SPLIT_NAMES[word] for words in found for word in words}) > 1


def are_folds(names: Sequence[str]) -> bool:
    """Whether folders are called like folds of a cross-validation."""
    return len(names) > 1 and all(_FOLD.fullmatch(name) for name in names)


def are_parts(names: Sequence[str]) -> bool:
    """Whether folders are called like parts of a data set, images beside masks say, not like classes."""
    plain = [re.sub(r"[^a-z]", "", name.lower()) for name in names]
    return len(names) > 1 and all(name in _PARTS for name in plain)


def _words(name: str) -> set[str]:
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    found = set()
    for word in re.findall(r"[a-z]+|\d+", parted.lower()):
        begin = next((split for split in SPLIT_NAMES if word.startswith(split) and word[len(split) :] in _NEUTRAL), "")
        found.add(begin or word)
    return found
