import numpy as np
import pytest
import torch

from vitrail.basics.events import nobody
from vitrail.data.formula.rendering import formula_image
from vitrail.models.chain import Chain
from vitrail.models.plain_vit import PlainVitSettings, plain_vit
from vitrail.training.sources import HeldOut
from vitrail.workflows.pretrain_images import digits_probe, formula_set, resized
from vitrail.workflows.pretrain_settings import PretrainSettings

CPU = torch.device("cpu")
SETTINGS = PretrainSettings.gather(classes=6, renderings=3, held_out_renderings=2, image_size=24, sizes=16)


@pytest.fixture(scope="module")
def network():
    return plain_vit(PlainVitSettings(width=24, depth=1, heads=2, patch=8), sizes=(16,), classes=6, seed=0)


@pytest.fixture(scope="module")
def found(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("formula")
    return formula_set(SETTINGS, network.preprocessing, folder, batch_size=5, workers=0, emit=nobody)


def test_held_out_images_are_other_renderings_of_the_same_classes(found):
    assert found.pixels.shape == (18, 24, 24, 3)
    assert found.labels.tolist() == 3 * list(range(6))
    assert found.held_out.labels.tolist() == 2 * list(range(6))
    expected = np.stack([formula_image(SETTINGS.images, number, 3) for number in range(6)])
    np.testing.assert_array_equal(found.held_out.all_pixels[:6], resized(expected, 16))
    trained = {image.tobytes() for image in resized(found.pixels, 16)}
    assert not trained & {image.tobytes() for image in found.held_out.all_pixels}


def test_held_out_images_are_what_the_loop_asks_for_in_the_models_size(found, network):
    assert isinstance(found.held_out, HeldOut)
    batches = list(found.held_out.pixels())
    assert [batch.shape for batch in batches] == [(5, 16, 16, 3), (5, 16, 16, 3), (2, 16, 16, 3)]
    np.testing.assert_array_equal(np.concatenate(batches), found.held_out.all_pixels)
    assert found.held_out.preprocessing == network.preprocessing


def test_the_sample_of_training_images_is_as_large_as_what_is_held_out(found):
    np.testing.assert_array_equal(found.sample.all_pixels, resized(found.pixels[:12], 16))
    assert found.sample.labels.tolist() == found.labels[:12].tolist()


def test_a_resized_image_is_the_mean_of_what_a_pixel_covers():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resized(pixels, 8), pixels)
    assert resized(pixels, 4).shape == (300, 4, 4, 3)
    flat = np.full((2, 8, 8, 3), 77, np.uint8)
    np.testing.assert_array_equal(resized(flat, 5), flat[:, :5, :5])
    halves = flat.copy()
    halves[:, :, 4:] = 177
    np.testing.assert_array_equal(resized(halves, 2)[0, 0, :, 0], [91, 163])  # weights 1 - |x - 2| / 4


def test_the_probe_on_digits_is_far_above_chance_repeatable_and_leaves_the_model_alone(network):
    measure = digits_probe(network.preprocessing, CPU, seed=0, batch_size=300)
    chain = Chain(network.model)
    chain.model.train()
    before = {name: tensor.clone() for name, tensor in chain.model.state_dict().items()}
    first = measure(chain)
    assert 0.5 < first < 1
    assert measure(chain) == first
    assert chain.model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in chain.model.state_dict().items())
    chain.model.eval()


def test_the_probe_reads_features_and_not_the_classifier(network):
    measure = digits_probe(network.preprocessing, CPU, seed=0, batch_size=300)
    first = measure(Chain(network.model))
    with torch.no_grad():
        network.model.head.weight.zero_()
    assert measure(Chain(network.model)) == first
    with torch.no_grad():
        network.model.blocks[0].attn.qkv.weight.mul_(3)
    assert measure(Chain(network.model)) != first


def test_settings_reach_the_part_that_owns_them():
    settings = PretrainSettings.gather(steps=7, width=48, classes=9, mixup=0.1, seed=3)
    assert (settings.training.steps, settings.network.width, settings.images.classes) == (7, 48, 9)
    assert (settings.views.mixup, settings.seed) == (0.1, 3)
    names = PretrainSettings.names()
    assert len(names) == len(set(names)), "a name that two parts own would reach only one of them"
