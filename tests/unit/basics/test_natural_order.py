from vitrail.basics.natural_order import in_natural_order


def test_numbers_in_names_count_as_numbers_and_case_does_not():
    assert in_natural_order(["10", "1", "2"]) == ["1", "2", "10"]
    assert in_natural_order(["img12b", "img2", "IMG1", "img12a"]) == ["IMG1", "img2", "img12a", "img12b"]
    assert in_natural_order(["stage IV", "grade 3", "grade 10", "a", "7"]) == [
        "7", "a", "grade 3", "grade 10", "stage IV",
    ]  # fmt: skip


def test_the_order_does_not_depend_on_the_order_before_and_takes_any_name():
    names = ["01", "1", "001", "", "A", "a", "é", "e\u0301", "9" * 5000, "٣", "-1"]
    assert in_natural_order(names) == in_natural_order(reversed(names))
    assert sorted(in_natural_order(names)) == sorted(names)
