import itertools

import numpy as np
import pytest

from tests.conftest import picture
from tests.unit.data.test_checked_files import checked
from vitrail.basics.errors import ChangedImageError, InputError, UnreadableImageError
from vitrail.data.given_pictures import FEW, given_pictures, read_pictures
from vitrail.data.preprocessing import Preprocessing

SMALL = Preprocessing(height=16, width=16)


def read(images, workers=0):
    return list(read_pictures(given_pictures(images), SMALL, workers=workers))


@pytest.mark.parametrize("lazily", [False, True])
def test_workers_give_every_picture_its_own_name_and_what_reading_it_here_gives(tmp_path, lazily):
    pictures = []
    for number in range(FEW + 3):
        picture(number).save(tmp_path / f"{number:02d}.png")
        content = (tmp_path / f"{number:02d}.png").read_bytes()
        kinds = (tmp_path / f"{number:02d}.png", content, content[:50], picture(number), np.asarray(picture(number)))
        pictures.append(kinds[number % 5])
    here, there = read(pictures), read(iter(pictures) if lazily else pictures, workers=1)
    assert [name[-6:-4] for name, _ in here] == [f"{n:02d}" if n % 5 == 0 else "" for n in range(FEW + 3)]
    assert [(name, each.id) for name, each in here] == [(name, each.id) for name, each in there]
    for (_, one), (_, other) in zip(here, there, strict=True):
        if isinstance(one.pixels, UnreadableImageError):
            assert str(one.pixels) == str(other.pixels)
        else:
            assert np.array_equal(one.pixels, other.pixels)


def test_how_many_there_are_is_known_but_of_long_iterators():
    assert given_pictures(picture(0)).count == 1
    assert given_pictures([picture(0)] * 40).count == 40
    assert given_pictures(iter([picture(0)] * 5)).count == 5
    assert given_pictures(itertools.repeat(picture(0))).count is None
    assert given_pictures([]).count == given_pictures([]).usual_workers() == 0
    assert given_pictures(itertools.repeat(picture(0))).usual_workers() > 0


def test_a_place_is_one_image_and_a_tuple_of_paths_are_several(tmp_path):
    for name in ("a.png", "b.png"):
        picture(0).save(tmp_path / name)
    first, second = str(tmp_path / "a.png"), str(tmp_path / "b.png")
    assert list(given_pictures((first, 1)).named) == [(first, (first, 1))]
    assert [name for name, _ in given_pictures((first, second)).named] == [first, second]
    assert [name for name, _ in given_pictures([(first, 0), second]).named] == [first, second]


def test_an_image_that_was_checked_has_the_id_of_then_or_stops_the_reading(tmp_path):
    picture(0).save(tmp_path / "a.png")
    places = checked(tmp_path / "a.png")
    ((name, found),) = read(places)
    assert (name, found.id) == (str(tmp_path / "a.png"), places[0].id)
    picture(1).save(tmp_path / "a.png")
    with pytest.raises(ChangedImageError, match="has changed since it was checked"):
        read(places[0])


def test_what_is_wrong_in_an_iterator_is_told_when_it_is_its_turn():
    given = given_pictures(itertools.chain([picture(0)] * (FEW + 1), [None]))
    found = read_pictures(given, SMALL, workers=0)
    assert len(list(itertools.islice(found, FEW + 1))) == FEW + 1
    told = r"^an image of type NoneType is not understood\nhint: give a path, the bytes of a file, a Pillow image or a"
    with pytest.raises(InputError, match=told):
        next(found)
