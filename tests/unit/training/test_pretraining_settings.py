import pytest

from vitrail.basics.errors import SettingsError
from vitrail.training.optimization_settings import OptimizationSettings
from vitrail.training.pretraining_settings import PretrainingSettings
from vitrail.training.settings import TrainingSettings


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


def test_what_optimisation_needs_is_the_same_object_as_in_a_fit():
    assert isinstance(PretrainingSettings(), OptimizationSettings) and isinstance(
        TrainingSettings(), OptimizationSettings
    )
    assert PretrainingSettings(learning_rate=0.1).peak_rate == 0.1
    assert [TrainingSettings(optimizer=name).peak_rate for name in ("adamw", "sgd")] == [5e-4, 5e-2]
