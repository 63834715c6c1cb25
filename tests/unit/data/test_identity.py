from vitrail.data.identity import KnownIds, image_id, packed_id, unpacked_id


def test_an_id_is_made_of_content_and_frame_and_survives_packing():
    first, second = image_id(b"a picture"), image_id(b"a picture", 70_000)
    assert second == f"{first}:70000"
    assert [unpacked_id(packed_id(each)) for each in (first, second)] == [first, second]


def test_known_ids_are_found_in_their_file_and_others_are_not(tmp_path):
    ids = [image_id(bytes([number]), frame) for number in range(200) for frame in (0, 1, 256)]
    known = KnownIds.write(tmp_path / "known.bin", reversed(ids))
    assert len(known) == 600
    assert all(each in known for each in ids)
    assert image_id(b"other") not in known
    assert image_id(bytes([3]), 2) not in known


def test_ids_that_end_in_zero_bytes_are_told_apart(tmp_path):
    one, other = "ab" * 15 + "00", "ab" * 14 + "0000"
    known = KnownIds.write(tmp_path / "known.bin", [one])
    assert one in known
    assert other not in known


def test_an_empty_set_knows_nothing(tmp_path):
    assert image_id(b"a") not in KnownIds.write(tmp_path / "known.bin", [])
