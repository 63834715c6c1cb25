from vitrail.data.place_map import PlaceMap


def test_values_that_end_in_zero_bytes_come_back_whole(tmp_path):
    written = PlaceMap.write(tmp_path / "map", [(("a", 0), b"\0\0"), (("b", 0), b"\1\0")], width=2)
    assert (written["a", 0], written["b", 0]) == ([b"\0\0"], [b"\1\0"])
    assert PlaceMap(tmp_path / "map", 2)["a", 0] == [b"\0\0"]


def test_a_path_and_a_frame_are_never_taken_for_another(tmp_path):
    places = [("1:a", 0), ("a", 1), ("a", 0), ("a", 10), ("0:a", 1)]
    written = PlaceMap.write(tmp_path / "map", [(place, bytes([n])) for n, place in enumerate(places)], width=1)
    assert [written[place] for place in places] == [[bytes([n])] for n in range(5)]


def test_a_name_that_is_no_unicode_is_a_place_too(tmp_path):
    written = PlaceMap.write(tmp_path / "map", [(("\udcff.png", 0), b"x")], width=1)
    assert written["\udcff.png", 0] == [b"x"]
