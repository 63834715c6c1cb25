"""Pictures that look the same although their files differ: found through an index, never by comparing all pairs.

Pigeonhole: two 64-bit hashes that differ in at most r bits, cut into r + 2 bands, agree entirely in at least two bands.
So it is enough to sort by every pair of bands and to compare neighbours with equal keys.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8, Int64, UInt64

from vitrail.data.inspection.details import same_details

RADIUS = 6
"""Bits in which the hashes of near duplicates may differ. Measured on photographs, CT slices and dermatoscopy:
recompression, half size and 10 % brighter stay within it in 99 % of cases, 2 % cropped in 97 %."""

LEAST_SIMILARITY = 0.96
"""Cosine that the sketches of near duplicates have at least. Measured on the same: 99 % of such copies have it; of 13
pairs of different dermatoscopy images that share a hash, none."""

# Beyond this many hashes with equal keys, each is compared with the next ones in the order of hashes only: such crowds
# are chains of look-alikes, which are joined through their neighbours.
_CROWD = 500

_PORTION = 65_536


@dataclass(frozen=True)
class LookAlikes:
    """Pictures with their perceptual facts, and the test whether two of them are near duplicates.

    Attributes:
        hashes: 64-bit perceptual hashes.
        sketches: vectors of length about 127 whose cosine must be high, too.
        radius: bits in which hashes may differ.
        least_similarity: least cosine of the sketches.
        details: see `details.details_of`, of the pictures that are to be compared on their pixels, too; None: of none.
        detail_row: for each picture, its row in `details`; -1 for none.
    """

    hashes: UInt64[np.ndarray, " N"]
    sketches: Int8[np.ndarray, "N S"]
    radius: int = RADIUS
    least_similarity: float = LEAST_SIMILARITY
    details: Int8[np.ndarray, "R 64 64"] | None = None
    detail_row: Int64[np.ndarray, " N"] | None = None

    def alike(self, first: Int64[np.ndarray, " M"], second: Int64[np.ndarray, " M"]) -> np.ndarray:
        """For pairs of positions, whether they are near duplicates: bool array (M,)."""
        found = np.bitwise_count(self.hashes[first] ^ self.hashes[second]) <= self.radius
        close = np.flatnonzero(found)
        found[close] = self.similarity(first[close], second[close]) >= self.least_similarity
        if self.details is not None and self.detail_row is not None:
            close = np.flatnonzero(found)
            found[close] = self._confirmed(self.detail_row[first[close]], self.detail_row[second[close]])
        return found

    def _confirmed(self, first: Int64[np.ndarray, " M"], second: Int64[np.ndarray, " M"]) -> np.ndarray:
        assert self.details is not None
        result = np.ones(len(first), bool)
        for start in range(0, len(first), _PORTION // 64):
            part = slice(start, start + _PORTION // 64)
            known = (first[part] >= 0) & (second[part] >= 0)
            result[part][known] = same_details(self.details[first[part][known]], self.details[second[part][known]])
        return result

    def similarity(self, first: Int64[np.ndarray, " M"], second: Int64[np.ndarray, " M"]) -> np.ndarray:
        """Cosine of the sketches for pairs of positions: float array (M,)."""
        cosines = np.empty(len(first), dtype=np.float32)
        for start in range(0, len(first), _PORTION):
            part = slice(start, start + _PORTION)
            left, right = self.sketches[first[part]].astype(np.float32), self.sketches[second[part]].astype(np.float32)
            lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
            cosines[part] = (left * right).sum(axis=1) / np.maximum(lengths, 1e-6)
        return cosines

    def clusters(self) -> Int64[np.ndarray, " N"]:
        """For each picture, the position of the first picture of its cluster; itself where nothing is near.

        Clusters are chains: a picture is in one with everything near it, and with what is near that.
        """
        order = np.argsort(self.hashes, kind="stable")
        labels = np.arange(len(self.hashes))
        labels, order = self._same_hash_joined(labels, order)
        for keys in _band_pairs(self.hashes[order], self.radius):
            by_key = np.argsort(keys, kind="stable")
            crowd = order[by_key]
            for left, right in _close_neighbours(self.hashes[crowd], keys[by_key], self.radius):
                labels = self._joined_if_alike(labels, crowd[left], crowd[right])
        return labels

    def _joined_if_alike(self, labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        apart = labels[first] != labels[second]
        first, second = first[apart], second[apart]
        near = self.alike(first, second)
        return _joined(labels, first[near], second[near])

    def _same_hash_joined(self, labels: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Join pictures with the first of their hash, and keep of each hash the first and those unlike it."""
        ordered = self.hashes[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))
        first = np.repeat(order[starts], np.diff(starts, append=len(order)))
        same = self.alike(first, order)
        labels = _joined(labels, first[same], order[same])
        return labels, order[~same | (first == order)]


def _band_pairs(hashes: np.ndarray, radius: int) -> Iterator[np.ndarray]:
    """For every pair of bands, the bits of both as one integer per hash."""
    edges = np.linspace(0, 64, radius + 3).astype(int).tolist()
    widths = [high - low for low, high in itertools.pairwise(edges)]
    scattered = _scattered(hashes)
    bands = [
        (scattered >> np.uint64(low)) & np.uint64((1 << width) - 1) for low, width in zip(edges, widths, strict=False)
    ]
    # Keys of 16 bits are sorted by radix, several times faster.
    kind = np.uint16 if max(widths) <= 8 else np.uint32 if max(widths) <= 16 else np.uint64
    for one, other in itertools.combinations(bands, 2):
        yield ((one << np.uint64(max(widths))) | other).astype(kind)


def _scattered(hashes: np.ndarray) -> np.ndarray:
    """The bits dealt out so that a band holds one frequency of every row and column of the cosine transform.

    Neighbouring frequencies go together in pictures of one kind; as bands they would give few, crowded keys (measured
    on dermatoscopy: 2.5 times the pairs to compare).
    """
    scattered = np.zeros_like(hashes)
    for place in range(64):
        diagonal, row = divmod(place, 8)
        bit = (hashes >> np.uint64(8 * row + (row + diagonal) % 8)) & np.uint64(1)
        scattered |= bit << np.uint64(place)
    return scattered


def _close_neighbours(hashes: np.ndarray, keys: np.ndarray, radius: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of positions within the radius among those with equal keys: next neighbours, second next, and so on.

    Args:
        hashes: sorted by key.
        keys: the sorted keys.
        radius: bits that may differ.
    """
    ends = np.flatnonzero(np.append(keys[1:] != keys[:-1], True))
    following = ends[np.searchsorted(ends, np.arange(len(keys)))] - np.arange(len(keys))
    here = np.arange(len(keys))
    for step in range(1, min(_CROWD, following.max(initial=0) + 1)):
        if here.size > len(keys) // 4:
            # While most still have company it is faster to compare all with their neighbour, whatever its key.
            differing = np.bitwise_count(hashes[:-step] ^ hashes[step:])
            left = np.flatnonzero(differing <= radius)
            here = here if step % 4 else np.flatnonzero(following > step)
        else:
            here = here[following[here] >= step]
            left = here[np.bitwise_count(hashes[here] ^ hashes[here + step]) <= radius]
        if left.size:
            yield left, left + step


def _joined(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Labels after joining the clusters of every pair; a cluster's label is its smallest position.

    Source: minimum-label hooking with pointer jumping, Y. Shiloach and U. Vishkin, "An O(log n) Parallel Connectivity
    Algorithm", 1982.
    """
    while first.size:
        one, other = labels[first], labels[second]
        apart = one != other
        first, second, one, other = first[apart], second[apart], one[apart], other[apart]
        if not first.size:
            break
        labels = labels.copy()
        np.minimum.at(labels, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(jumped := labels[labels], labels):
            labels = jumped
    return labels
