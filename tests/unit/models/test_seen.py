"""The part `seen`: any later images can be asked for overlap, and nobody can list what was trained on."""

import hashlib

import numpy as np
import pytest

from vitrail.models.parts.seen import Seen, _shortened, false_share


def ids(count: int, beginning: str = "") -> list[str]:
    return [hashlib.sha256(f"{beginning}{number}".encode()).hexdigest()[:32] for number in range(count)]


def seen(count: int = 1000, *, seed: int = 0, fingerprint: str = "data") -> Seen:
    return Seen.of(ids(count), seed=seed, fingerprint=fingerprint)


def test_every_training_image_is_found_and_no_other_whatever_the_order() -> None:
    asked = [*ids(50, "other"), *reversed(ids(1000)), *ids(50, "another")]
    found = seen().overlap(asked)
    assert found.tolist() == [False] * 50 + [True] * 1000 + [False] * 50
    assert seen().overlap([]).tolist() == []
    assert not seen(0).overlap(asked).any()


def test_another_frame_of_a_file_is_another_image_and_an_image_counts_once() -> None:
    part = Seen.of([ids(1)[0], ids(1)[0], f"{ids(1)[0]}:3"], seed=0, fingerprint="data")
    assert len(part) == 2
    assert part.overlap([f"{ids(1)[0]}:3", f"{ids(1)[0]}:2"]).tolist() == [True, False]


def test_the_same_run_gives_the_same_bytes_and_another_seed_or_data_set_numbers_that_cannot_be_joined() -> None:
    assert seen().salt == seen().salt and np.array_equal(seen().numbers, seen().numbers)
    for other in (seen(seed=1), seen(fingerprint="more")):
        assert other.salt != seen().salt
        assert not np.intersect1d(other.numbers, seen().numbers).size


def test_no_id_nor_a_part_of_one_stands_in_the_part() -> None:
    content = seen().content()
    kept = content.arrays["numbers"].tobytes() + str(content.facts).encode()
    assert not any(bytes.fromhex(each)[:4] in kept or each[:8].encode() in kept for each in ids(1000))


@pytest.mark.parametrize(("images", "bits"), [(1000, 16), (5000, 16), (200, 12)])
def test_a_stranger_is_taken_for_a_training_image_as_often_as_the_formula_says(images: int, bits: int) -> None:
    salt, shift = b"salt", np.uint64(64 - bits)
    trained, strangers = (_shortened(ids(count, name), salt) >> shift for count, name in
                          ((images, ""), (40_000, "other")))  # fmt: skip
    expected = false_share(images, bits=bits)
    measured = np.isin(strangers, trained).mean()
    # The training images' own luck (how many share a number) and that of the strangers, four standard errors of each.
    assert measured == pytest.approx(expected, abs=4 * (expected / 40_000) ** 0.5 + 4 * expected / images**0.5 / 2)
    assert false_share(10**6) == pytest.approx(10**6 / 2**64)


def test_a_million_images_take_eight_bytes_each_and_are_asked_at_once() -> None:
    numbers = np.sort(np.random.default_rng(0).integers(0, 2**64, 10**6, dtype=np.uint64))
    part = Seen(b"x" * 16, numbers)
    assert part.content().arrays["numbers"].nbytes == 8 * 10**6
    assert not part.overlap(ids(1000)).any()
    assert Seen.from_content(part.content(), version=1).numbers is numbers
