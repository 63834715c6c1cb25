from tools.touched_tests import touched_tests


def test_a_changed_module_touches_its_mirror_what_imports_it_and_what_imports_that():
    found = touched_tests({"vitrail/measures/paired.py"})
    assert "tests/unit/measures/test_paired.py" in found, "its own test"
    assert "tests/unit/training/test_choice.py" in found, "imports a module that imports it"
    assert "tests/unit/data/test_augmentation.py" not in found
    assert not any(name.startswith("tests/journeys") for name in found)


def test_a_changed_test_touches_itself_alone_beside_the_house_rules():
    found = touched_tests({"tests/unit/data/test_augmentation.py"})
    assert found == ["tests/architecture/test_house.py", "tests/unit/data/test_augmentation.py"]
