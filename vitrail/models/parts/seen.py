"""The part `seen`: which images a model was trained on, so that other images can be asked for overlap."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt64

from vitrail.models.package_parts import PackagePart, PartContent

_SALT_BYTES = 16
_NUMBERS = np.dtype("<u8")
_ABOUT = (
    "salted and shortened hashes of the files that the model was trained on: whoever holds a file can ask whether it "
    "was trained on; nobody can list them"
)


@dataclass(frozen=True)
class Seen(PackagePart):
    """Salted and shortened ids of the images that the weights were trained on in the fit that made the package.

    What it is for: whoever holds an image, the very same file, can ask whether it was trained on; figures measured on
    such images flatter. What salt and shortening protect: nobody can list the images, look them up in a table made
    beforehand, or compare two packages with each other; only a guessed file can be asked for. What they do not: that
    a file *was* trained on can be proved by anybody who holds it and the package.

    Not in it: validation images, images that the weights it began from were trained on, and near duplicates (a file
    that was compressed or cropped again is another file).

    Attributes:
        salt: 16 bytes, other ones for every data set, split and seed.
        numbers: one per image, in ascending order.
    """

    name = "seen"

    salt: bytes
    numbers: UInt64[np.ndarray, "N"]

    @classmethod
    def of(cls, ids: Iterable[str], *, seed: int, fingerprint: str) -> "Seen":
        """The part for training images with these ids (`vitrail.data.identity`).

        Args:
            ids: in any order; an image that is there twice counts once.
            seed: of the run. With the fingerprint it gives the salt, so that a run that is repeated gives the same
                bytes.
            fingerprint: of data and split.
        """
        salt = hashlib.sha256(f"vitrail seen\n{seed}\n{fingerprint}".encode()).digest()[:_SALT_BYTES]
        return cls(salt, np.unique(_shortened(ids, salt)))

    def overlap(self, ids: Iterable[str]) -> Bool[np.ndarray, "M"]:
        """Which of these images were trained on.

        Every one that was is found. One that was not is taken for one by chance once in 2⁶⁴ / N cases, N being the
        number of training images: see `false_share`.
        """
        asked = _shortened(ids, self.salt)
        if not len(self.numbers):
            return np.zeros(len(asked), bool)
        places = np.minimum(np.searchsorted(self.numbers, asked), len(self.numbers) - 1)
        return self.numbers[places] == asked

    def __len__(self) -> int:
        return len(self.numbers)

    def content(self) -> PartContent:
        """What the package keeps: 8 bytes an image."""
        facts = {"about": _ABOUT, "salt": self.salt.hex(), "images": len(self)}
        return PartContent(facts, {"numbers": self.numbers})

    @classmethod
    def from_content(cls, content: PartContent, *, version: int) -> "Seen":
        """The part that `content` was written from.

        Raises:
            ValueError: it makes no sense; in words.
        """
        salt, count, numbers = content.facts.get("salt"), content.facts.get("images"), content.arrays.get("numbers")
        if not (isinstance(salt, str) and len(salt) == 2 * _SALT_BYTES and set(salt) <= set("0123456789abcdef")):
            raise ValueError(f"a salt of {2 * _SALT_BYTES} hexadecimal digits was expected")
        if numbers is None or numbers.dtype != _NUMBERS or numbers.shape != (count,):
            found = "none" if numbers is None else f"{numbers.dtype} {list(numbers.shape)}"
            raise ValueError(f"{str(count)[:40]} numbers of 64 bits were expected, found {found}")
        if not (numbers[1:] > numbers[:-1]).all():
            raise ValueError("numbers in ascending order were expected")
        return cls(bytes.fromhex(salt), numbers)


def false_share(images: int, *, bits: int = 64) -> float:
    """The share of images never trained on that are taken for training images by chance: 1 − (1 − 2⁻ᵇ)ᴺ.

    For a million training images it is 5·10⁻¹⁴: asked a million times, one answer in 18 million such questions is
    wrong.

    Args:
        images: training images, N.
        bits: length of a shortened id, b.
    """
    return float(-np.expm1(images * np.log1p(-(2.0**-bits))))


def _shortened(ids: Iterable[str], salt: bytes) -> UInt64[np.ndarray, "M"]:
    digests = b"".join(hashlib.blake2b(each.encode(), key=salt, digest_size=8).digest() for each in ids)
    return np.frombuffer(digests, _NUMBERS)
