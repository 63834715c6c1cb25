from vitrail.data.identity import KnownImages, image_id, packed_id, unpacked_id


def test_an_id_is_made_of_content_and_frame_and_survives_packing():
    first, second = image_id(b"a picture"), image_id(b"a picture", 70_000)
    assert second == f"{first}:70000"
    assert [unpacked_id(packed_id(each)) for each in (first, second)] == [first, second]


def test_images_are_known_by_place_and_content(tmp_path):
    images = [
        ((f"/{number}.png", frame), image_id(bytes([number]), frame)) for number in range(200) for frame in (0, 9)
    ]
    known = KnownImages.write(tmp_path / "known.bin", reversed(images))
    assert len(known) == 400
    assert all(known.ids(place) == [identity] for place, identity in images)
    assert known.ids(("/3.png", 1)) == known.ids(("/other.png", 0)) == []


def test_a_place_that_was_entered_with_several_contents_has_them_all(tmp_path):
    one, other = image_id(b"one"), image_id(b"other")
    known = KnownImages.write(tmp_path / "known.bin", [(("/a", 0), one), (("/b", 0), one), (("/a", 0), other)])
    assert known.ids(("/a", 0)) == sorted([one, other])


def test_nothing_is_known_of_an_empty_list(tmp_path):
    assert KnownImages.write(tmp_path / "known.bin", []).ids(("/a", 0)) == []
