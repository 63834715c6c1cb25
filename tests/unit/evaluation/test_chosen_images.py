import pytest

import vitrail
from vitrail.basics.errors import InputError
from vitrail.evaluation.chosen_images import chosen_images


@pytest.fixture
def divided(write_images):
    for seed, (split, counts) in enumerate({"train": {"ant": 3, "bee": 2}, "test": {"ant": 2, "wasp": 1}}.items()):
        folder = write_images(counts, under=f"data/{split}", seed=seed)
    (folder / "ant" / "000.png").write_bytes(b"no image")
    return folder.parent


def chosen(data, split=None):
    return chosen_images(vitrail.check(data, workers=0), name="insects", classes=["ant", "bee"], split=split)


def test_test_images_are_judged_where_there_are_some_and_what_is_left_out_is_named(divided):
    images = chosen(divided)
    assert (images.rows.num_rows, images.measured_on) == (1, "test")
    assert images.told[0] == "Judged on the images marked 'test', 3 of 8."
    assert images.told[1].startswith("1 image could not be read and is in no figure (the first: ")
    assert images.told[2] == (
        "1 image of 1 class that the model does not know is in no figure: 'wasp'. Whatever it answers about them is "
        "wrong."
    )


def test_another_split_or_all_images_are_judged_where_that_is_asked_for(divided):
    assert [chosen(divided, split).rows.num_rows for split in ("train", "all")] == [5, 6]
    assert (chosen(divided, "train").measured_on, chosen(divided, "all").measured_on) == ("train", "given")


def test_a_split_that_is_not_there_is_refused(divided):
    with pytest.raises(InputError) as refused:
        chosen(divided, "val")
    assert str(refused.value) == "insects: no image is marked 'val'; it has train, test\nhint: --split all"


def test_images_of_which_the_model_knows_no_class_are_refused(write_images):
    with pytest.raises(InputError) as refused:
        chosen(write_images({"cat": 2, "dog": 2}))
    assert str(refused.value) == (
        "insects: no image is left to judge. 4 images of 2 classes that the model does not know are in no figure: "
        "'cat', 'dog'. Whatever it answers about them is wrong.\nhint: the model knows 'ant', 'bee'"
    )
