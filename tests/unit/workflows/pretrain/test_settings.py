from vitrail.workflows.pretrain.settings import PretrainSettings


def test_settings_reach_the_part_that_owns_them():
    settings = PretrainSettings.gather(steps=7, width=48, classes=9, mixup=0.1, seed=3)
    assert (settings.training.steps, settings.network.width, settings.images.classes) == (7, 48, 9)
    assert (settings.views.mixup, settings.seed) == (0.1, 3)
    names = PretrainSettings.names()
    assert len(names) == len(set(names)), "a name that two parts own would reach only one of them"
