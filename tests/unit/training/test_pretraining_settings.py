import pytest

from vitrail.basics.errors import SettingsError
from vitrail.training.pretraining_settings import PretrainingSettings


@pytest.mark.parametrize(("given", "sizes"), [(64, (64,)), ("32, 64", (32, 64)), ([16, 16, 32], (16, 16, 32))])
def test_sizes_are_given_as_one_number_text_or_list(given, sizes):
    assert PretrainingSettings(sizes=given).sizes == sizes


@pytest.mark.parametrize("given", [[], "", "64,many", 4])
def test_sizes_that_are_none_are_refused(given):
    with pytest.raises(SettingsError, match=r"sizes|wrong"):
        PretrainingSettings.parse(sizes=given)


@pytest.mark.parametrize(("steps", "epochs", "total"), [(1000, 2, 1000), (1001, 3, 1500), (1, 1, 500)])
def test_steps_are_rounded_up_to_whole_epochs(steps, epochs, total):
    settings = PretrainingSettings(steps=steps, steps_per_epoch=500)
    assert (settings.epochs, settings.total_steps) == (epochs, total)


def test_the_loop_is_told_the_same_in_its_own_words():
    settings = PretrainingSettings(
        steps=30, steps_per_epoch=10, learning_rate=0.1, weight_decay=0.2, warmup_fraction=0.3, floor_fraction=0.4,
        clip=0.5, label_smoothing=0.6, accumulate=7, training_precision="float32", checkpoint_seconds=9.0,
    )  # fmt: skip
    told = settings.for_the_loop()
    same = (
        "learning_rate", "weight_decay", "warmup_fraction", "floor_fraction", "clip", "label_smoothing", "accumulate",
        "training_precision", "checkpoint_seconds",
    )  # fmt: skip
    assert {name: getattr(told, name) for name in same} == {name: getattr(settings, name) for name in same}
    assert (told.stages, told.all_epochs, told.layer_decay) == (("all",), 3, 1.0)
