import numpy as np
import pytest

from vitrail.basics.events import nobody
from vitrail.data.formula.rendering import formula_image
from vitrail.data.formula.settings import FormulaSettings
from vitrail.models.plain_vit import PlainVitSettings, plain_vit
from vitrail.training.formula_set import formula_set, resized
from vitrail.training.sources import HeldOut

IMAGES = FormulaSettings(classes=6, renderings=3, image_size=24)


@pytest.fixture(scope="module")
def network():
    return plain_vit(PlainVitSettings(width=24, depth=1, heads=2, patch=8), sizes=(16,), classes=6, seed=0)


@pytest.fixture(scope="module")
def found(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("formula")
    return formula_set(
        IMAGES, network.preprocessing, folder, held_out_renderings=2, batch_size=5, workers=0, emit=nobody
    )


def test_held_out_images_are_other_renderings_of_the_same_classes(found):
    assert found.pixels.shape == (18, 24, 24, 3)
    assert found.labels.tolist() == 3 * list(range(6))
    assert found.held_out.labels.tolist() == 2 * list(range(6))
    expected = np.stack([formula_image(IMAGES, number, 3) for number in range(6)])
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
