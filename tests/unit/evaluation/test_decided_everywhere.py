"""A package that decides is judged as it answers, in every section; what knows images by their features does not."""

import dataclasses

import numpy as np
import pytest
import torch

import vitrail
from tests.unit.evaluation.realistic_report import realistic_answers
from tests.unit.models.test_package import built_model, contents
from vitrail.data.columns import ImageHome
from vitrail.evaluation.disturbed_answers import disturbed_answers
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.most_wrong import most_wrong_section
from vitrail.evaluation.quality import judge
from vitrail.evaluation.reference_of_images import reference_of_images
from vitrail.evaluation.robustness_settings import RobustnessSettings
from vitrail.evaluation.shift import shift_section
from vitrail.evaluation.subject import Subject
from vitrail.features.attention.looking import Looker
from vitrail.models.heads import feature_width, set_linear_head
from vitrail.models.package import read_package, write_package
from vitrail.models.package_parts import with_part
from vitrail.models.parts.decision import Decision

CLASSES = ("well", "ill")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    built = built_model()
    set_linear_head(built.model, 3 * torch.randn(2, feature_width(built.model)), torch.zeros(2))
    place = tmp_path_factory.mktemp("decided") / "package"
    write_package(place, built, contents=contents(classes=CLASSES))
    return place


def judged_by(threshold=None, n=160, width=16):
    judged = realistic_answers(CLASSES, n=n, skill=1.0)
    features = np.random.default_rng(1).normal(0, 1, (n, width)).astype(np.float32)
    features[:, 0] += 4 * judged.labels
    return dataclasses.replace(
        judged, features=features, decision=None if threshold is None else Decision(CLASSES, threshold=threshold)
    )


def test_the_verdict_on_a_shift_does_not_depend_on_where_the_threshold_lies(folder, tmp_path):
    undecided, low = judged_by(), judged_by(0.02)
    assert (undecided.predicted != low.predicted).sum() > 20
    predictor = vitrail.load(folder, device="cpu")
    reference = reference_of_images(predictor, undecided)
    assert reference_of_images(predictor, low).score_classes.tolist() == reference.score_classes.tolist()
    with_part(read_package(folder), reference, tmp_path / "known")
    known = vitrail.load(tmp_path / "known", device="cpu")
    before, after = (shift_section(Subject(each, known)).figures for each in (undecided, low))
    for name in ("verdict", "p_value", "class_mix", "answered", "features"):
        assert before[name] == after[name], name


def test_the_answer_that_is_shown_as_wrong_is_the_one_that_was_given():
    judged = judged_by(0.999)
    judged = judged.where((judged.labels == 1) & (judged.most_probable == 1))
    worst = judge(judged, seed=0).most_wrong
    images = most_wrong_section(judged, worst, ImageHome.of(judged.rows), tone=None).figures["images"]
    assert len(images) == 12 and all(each["predicted"] != each["label"] for each in images)


def test_disturbed_images_are_answered_about_with_the_threshold(folder, tmp_path):
    from tests.conftest import picture

    predictor = vitrail.load(folder, device="cpu")
    for number in range(6):
        place = tmp_path / "images" / CLASSES[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        picture(number, size=(60, 50), hue=number % 3).save(place / f"{number}.png")
    rows = vitrail.check(tmp_path / "images", emit=vitrail.nobody).table
    second = predictor.predict(rows["path"].to_pylist(), workers=0)
    scores = sorted(each.probabilities["ill"] for each in second)
    threshold = (scores[1] + scores[2]) / 2
    with_part(read_package(folder), Decision(CLASSES, threshold=threshold), tmp_path / "decided")
    obeying = vitrail.load(tmp_path / "decided", device="cpu")
    judged = JudgedImages.of_answers(
        rows, next(iter(obeying.answers(rows["path"].to_pylist(), batch_size=6, workers=0))), measured_on="val"
    )
    assert sorted(judged.predicted.tolist()) == [0, 0, 1, 1, 1, 1]
    few = RobustnessSettings.parse(attack_levels=(), attack_steps=1, noise_levels=(1e-9,), corruptions=())
    found = disturbed_answers(Subject(judged, obeying), judged, few)
    assert found.clean.tolist() == judged.predicted.tolist() == found.noise[1e-9].tolist()
    shown = next(Subject(judged, obeying).pixel_batches())
    looked = Looker(obeying, CLASSES).at(shown)
    assert [each.answer for each in looked] == [each.predicted for each in looked] == judged.predicted.tolist()
