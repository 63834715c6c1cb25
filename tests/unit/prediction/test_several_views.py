import numpy as np
import pytest
import torch

import vitrail
from tests.conftest import picture
from tests.unit.models.test_package import built_model, contents
from vitrail.basics.errors import SettingsError
from vitrail.data.picture_views import CORNERS, SeveralViews, View
from vitrail.models.package import write_package
from vitrail.prediction.answers import gathered_answers
from vitrail.prediction.several_views import ViewSettings, averaged_answers, several_views

ALONE = ViewSettings(tta_crops=False, tta_scales=())
IMAGES = [picture(number, size=(70, 50)) for number in range(5)]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("views") / "package"
    write_package(folder, built_model(), contents=contents())
    return vitrail.load(folder, device="cpu")


def answers(predictor, images=IMAGES, **given):
    return gathered_answers(predictor.answers(images, workers=0, **given))


def test_the_views_are_the_five_crops_and_the_scales_and_mirrored_only_where_asked_for():
    views = ViewSettings().views
    assert views[0] == View() and set(views[1:5]) == {View(place=place) for place in CORNERS}
    assert views[5:] == (View(0.8), View(0.9), View(1.1), View(1.2)) and not any(each.mirrored for each in views)
    mirrored = ViewSettings(tta_flips=True).views
    assert mirrored[:9] == views and [each.mirrored for each in mirrored[9:]] == [True] * 9
    assert ALONE.views == (View(),) == ViewSettings(tta_crops=False, tta_scales=(1.0,)).views


def test_settings_are_read_as_people_write_them_and_say_what_they_do():
    assert ViewSettings.parse(tta_scales="1.1, 0.9").tta_scales == (0.9, 1.1)
    assert ViewSettings.parse(tta_scales=1.5, tta_crops=False).words == "2 views: the image as it is, scale 1.5"
    assert ViewSettings(tta_flips=True).words == "18 views: 5 crops, scales 0.8, 0.9, 1.1, 1.2, each also mirrored"
    assert ALONE.words == "1 view: the image as it is"
    with pytest.raises(SettingsError, match=r"scales from 0\.25 to 4"):
        ViewSettings.parse(tta_scales=[0.1])
    assert (several_views(None), several_views(False), several_views(True)) == (None, None, ViewSettings())


def test_the_image_as_it_is_alone_is_no_augmentation_at_all_bit_for_bit(predictor):
    plain, alone = answers(predictor), answers(predictor, tta=ALONE)
    assert alone.logits.tobytes() == plain.logits.tobytes() and alone.features.tobytes() == plain.features.tobytes()


def test_probabilities_are_the_mean_of_those_of_the_views_and_features_those_of_the_image(predictor):
    settings = ViewSettings(tta_flips=True)
    found = answers(predictor, tta=settings)
    shown = SeveralViews(predictor.preprocessing, settings.views)
    for row, image in enumerate(IMAGES):
        views = predictor.answers_of(shown.pixels(image))
        assert np.allclose(found.probabilities[row], views.probabilities.mean(axis=0), atol=1e-6)
    assert np.allclose(found.probabilities.sum(axis=1), 1)
    assert not np.allclose(found.probabilities, answers(predictor).probabilities, atol=1e-4)
    assert np.allclose(found.features, answers(predictor).features, atol=1e-4)
    again = answers(predictor, tta=settings)
    assert again.logits.tobytes() == found.logits.tobytes(), "nothing is drawn by lot"


def test_a_symmetric_picture_and_its_mirror_image_are_answered_as_the_picture(predictor):
    pixels = predictor.pixels(IMAGES[0])
    both = np.concatenate([pixels[:, :24], pixels[:, :24][:, ::-1]], axis=1)
    model = predictor.prepare()._prepared
    _, alone = averaged_answers(model.answered, both[None, None], ["x"], batch_size=8)
    _, twice = averaged_answers(model.answered, np.stack([both, both[:, ::-1]])[None], ["x"], batch_size=8)
    softmaxed = [np.exp(each - each.max()) / np.exp(each - each.max()).sum() for each in (alone, twice)]
    assert np.allclose(*softmaxed, atol=1e-6)


def test_what_cannot_be_read_stays_a_fault_and_files_in_workers_are_answered_alike(predictor, tmp_path):
    for number, image in enumerate(IMAGES):
        image.save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    found = answers(predictor, tmp_path, tta=True)
    assert list(found.faults) == [2] and np.isnan(found.logits[2]).all()
    memory = answers(predictor, [IMAGES[row] for row in (0, 1, 3, 4)], tta=True)
    assert np.allclose(found.probabilities[[0, 1, 3, 4]], memory.probabilities, atol=1e-5)
    in_workers = gathered_answers(predictor.answers(tmp_path, workers=1, tta=True))
    assert np.array_equal(in_workers.logits, found.logits, equal_nan=True)


def test_predictions_and_streams_take_it_too(predictor):
    found = [each.probability for each in predictor.predict(IMAGES, tta=True, workers=0)]
    assert found == [each.probability for each in predictor.stream(IMAGES, tta=ViewSettings(), workers=0)]
    assert found == pytest.approx(answers(predictor, tta=True).probabilities.max(axis=1).tolist())


def test_a_probability_that_is_0_but_for_rounding_is_a_number():
    logits = np.array([[2000.0, 0.0], [2000.0, 0.0]], np.float32)
    _, found = averaged_answers(
        lambda pixels, names: (logits, logits), np.zeros((1, 2, 4, 4, 3), np.uint8), ["x"], batch_size=4
    )
    assert np.isfinite(found).all() and found[0, 0] == 0
