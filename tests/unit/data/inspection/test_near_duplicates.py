import time

import numpy as np
import pytest

from vitrail.data.inspection.near_duplicates import LookAlikes


def brute_force(alike: LookAlikes) -> np.ndarray:
    """Clusters by comparing all pairs and following every chain."""
    near = np.bitwise_count(alike.hashes[:, None] ^ alike.hashes[None]) <= alike.radius
    vectors = alike.sketches.astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near &= vectors @ vectors.T >= alike.least_similarity
    labels = np.arange(len(alike.hashes))
    while True:
        better = np.array([labels[row].min() for row in near])
        if np.array_equal(better, labels):
            return labels
        labels = better


def families(generator, *, count: int, flips: int) -> np.ndarray:
    """Random hashes, each with two variations in up to `flips` bits, shuffled."""
    hashes = generator.integers(0, 2**64, (count, 3), dtype=np.uint64)
    for member in (1, 2):
        hashes[:, member] = hashes[:, 0]
        for _ in range(flips):
            flipped = generator.integers(0, 2, count, dtype=np.uint64)
            hashes[:, member] ^= flipped << generator.integers(0, 64, count, dtype=np.uint64)
    return generator.permutation(hashes.ravel())


@pytest.mark.parametrize("radius", range(9))
def test_the_index_finds_what_comparing_all_pairs_finds(radius):
    generator = np.random.default_rng(radius)
    hashes = families(generator, count=150, flips=2 * radius + 2)
    sketches = generator.integers(-60, 60, (len(hashes), 63)).astype(np.int8)
    sketches[::2] = sketches[0]
    alike = LookAlikes(hashes, sketches, radius=radius)
    expected = brute_force(alike)
    assert len(set(expected.tolist())) < len(hashes)
    assert np.array_equal(alike.clusters(), expected)


def test_pictures_with_one_hash_and_unlike_sketches_stay_apart():
    sketches = np.eye(63, dtype=np.int8)[[0, 0, 1, 1, 0]] * 127
    alike = LookAlikes(np.full(5, 77, dtype=np.uint64), sketches)
    assert alike.clusters().tolist() == [0, 0, 2, 2, 0]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_and_one_are_no_duplicates(count):
    alike = LookAlikes(np.zeros(count, dtype=np.uint64), np.ones((count, 63), dtype=np.int8))
    assert alike.clusters().tolist() == list(range(count))


def test_a_chain_is_one_cluster_named_after_its_first_picture():
    hashes = np.array([0b111111111111, 0xFFFF << 40, 0, 0b111111], dtype=np.uint64)
    alike = LookAlikes(hashes, np.ones((4, 63), dtype=np.int8), radius=6)
    assert alike.clusters().tolist() == [0, 1, 0, 0]


def seconds(hashes: np.ndarray) -> float:
    alike = LookAlikes(hashes, np.ones((len(hashes), 63), dtype=np.int8))
    start = time.process_time()
    alike.clusters()
    return time.process_time() - start


def test_a_hundred_thousand_hashes_take_no_time_worth_mentioning():
    # About 0.3 s; comparing all pairs would take more than a minute.
    assert seconds(np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64)) < 5


def test_fifty_thousand_equal_hashes_do_not_go_quadratic():
    hashes = np.random.default_rng(0).integers(0, 2**64, 60_000, dtype=np.uint64)
    hashes[:50_000] = hashes[0]
    assert seconds(hashes) < 2


def test_ten_thousand_hashes_that_differ_in_a_few_bits_do_not_go_quadratic():
    hashes = np.full(10_000, 0x0F0F_3C3C_5A5A_A5A5, dtype=np.uint64)
    for seed in range(2):
        hashes ^= np.uint64(1) << np.random.default_rng(seed).integers(0, 64, 10_000, dtype=np.uint64)
    assert seconds(hashes) < 10
