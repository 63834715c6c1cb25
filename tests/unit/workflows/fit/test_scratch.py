import pytest

from vitrail.workflows.fit.scratch import _from_nothing
from vitrail.workflows.fit.settings import FitSettings


@pytest.mark.parametrize("slower", ["decay", "stem-and-first-blocks"])
def test_from_nothing_all_layers_learn_at_the_same_rate_whatever_suits_pretrained_ones(slower: str) -> None:
    settings = FitSettings.gather(name="starter", slower_layers=slower, layer_decay=0.5)
    training = _from_nothing(settings, epochs=3).training
    assert (training.slower_layers, training.layer_decay) == ("decay", 1.0)
