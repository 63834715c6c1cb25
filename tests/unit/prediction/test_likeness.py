"""References: what they hold and never hold, what they say of images, and what is refused."""

import dataclasses
import io
import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from vitrail.basics.errors import InputError, PackageError
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.package import PackageContents, read_package, write_package
from vitrail.models.package_parts import PartContent, with_part
from vitrail.models.parts.seen import Seen
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.models.ready import ReadyModel
from vitrail.prediction.answers import Prediction, gathered_answers
from vitrail.prediction.likeness import are_unlike, likenesses, more_than_chance, unlike_sentence
from vitrail.prediction.predictor import Predictor
from vitrail.prediction.reference_making import KnownFeatures, made_reference, why_no_reference
from vitrail.prediction.shift_stream import ShiftStream, keep_stream, read_stream
from vitrail.prediction.shift_verdict import GatheredImages, ShiftSettings, shift_of
from vitrail.prediction.watched_images import WatchedImages

RANDOM = np.random.default_rng(0)
SHOWN = Preprocessing(height=8, width=8, crop_fraction=1.0)
CLASSES = ("ant", "bee", "wasp")
WIDTH = 12


def known(training: int = 120, held_out: int = 60, groups: np.ndarray | None = None) -> KnownFeatures:
    labels, predicted = np.arange(training) % 3, np.arange(held_out) % 3
    return KnownFeatures(
        features_of(labels), labels, features_of(predicted), predicted, groups, "made up"
    )  # fmt: skip


def features_of(labels: np.ndarray) -> np.ndarray:
    return (RANDOM.standard_normal((len(labels), WIDTH)) + 4 * np.eye(WIDTH)[labels]).astype(np.float32)


def reference(**sizes: int) -> ShiftReference:
    return made_reference(known(**sizes), classes=3, preprocessing=SHOWN)


def test_no_vector_of_a_single_image_is_in_the_part_and_rare_classes_share_a_mean() -> None:
    labels = np.repeat([0, 1, 2, 3], [40, 1, 4, 40])
    rows = RANDOM.standard_normal((85, WIDTH)).astype(np.float32)
    held_out = RANDOM.standard_normal((30, WIDTH)).astype(np.float32)
    made = made_reference(
        KnownFeatures(rows, labels, held_out, np.arange(30) % 4, None, "made up"), classes=5, preprocessing=SHOWN
    )
    assert made.mean_of_class.tolist() == [0, 2, 2, 1, -1]
    assert made.stratum_of_class.tolist() == [0, 1, 2, 3, -1] and made.strata.counts.tolist() == [8, 8, 7, 7]
    assert made.facts["images_by_mean"] == [40, 40, 5] and made.facts["left_out"] == 0
    arrays = [made.means, made.means - made.centre, made.shared.T, made.overall.T, made.directions.T]
    wide = np.concatenate([*(each for each in arrays if each.shape[-1] == WIDTH), made.centre[None]])
    for image in [*rows, *held_out]:
        assert np.linalg.norm(wide - image, axis=1).min() > 0.1
    lonely = made_reference(
        KnownFeatures(rows[:41], labels[:41], held_out, np.arange(30) % 4, None, ""), classes=5, preprocessing=SHOWN
    )
    assert lonely.mean_of_class.tolist() == [0, -1, -1, -1, -1] and lonely.facts["left_out"] == 1


def test_a_reference_comes_back_from_its_content_and_what_a_stranger_changed_is_refused() -> None:
    made = reference()
    content = made.content()
    json.dumps(dict(content.facts))
    back = ShiftReference.from_content(content, version=1)
    for each in dataclasses.fields(ShiftReference):
        assert np.array_equal(getattr(back, each.name), getattr(made, each.name)), each.name
    wrong = {
        "scores": made.scores[::-1].copy(), "means": made.means[:, :3].copy(), "shared": made.shared * np.nan,
        "mean_of_class": np.array([0, 1, 7], "<i4"), "score_classes": made.score_classes + 3,
        "directions": made.directions.astype(np.float64), "stratum_of_class": made.stratum_of_class + 1,
        "stratum_means": made.stratum_means[:, :2].copy(),
    }  # fmt: skip
    for name, array in wrong.items():
        with pytest.raises(ValueError, match=r"expected|does not go|NaN"):
            ShiftReference.from_content(PartContent(content.facts, {**content.arrays, name: array}), version=1)
    with pytest.raises(ValueError, match="an array 'centre' was expected"):
        ShiftReference.from_content(PartContent(content.facts, {}), version=1)
    with pytest.raises(ValueError, match="units between 2 and 60"):
        ShiftReference.from_content(PartContent({**content.facts, "units": 61}, content.arrays), version=1)


def test_images_like_the_known_ones_are_uniform_and_others_are_unlike() -> None:
    made = reference(training=300, held_out=400)
    same = likenesses(made, features_of(np.arange(2000) % 3))
    assert are_unlike(same).mean() == pytest.approx(0.05, abs=0.035)
    assert np.quantile(same, 0.5) == pytest.approx(0.5, abs=0.1)
    others = features_of(np.arange(50) % 3) + 3
    others[7] = np.nan
    found = likenesses(made, others)
    assert np.isnan(found[7]) and are_unlike(found).sum() == 49


def test_too_few_images_make_no_reference_and_it_is_said_why() -> None:
    assert why_no_reference(20, 19) is None
    assert why_no_reference(19, 500) == (
        "19 training images are too few to say what images look like, 20 are needed"
    )  # fmt: skip
    assert why_no_reference(500, 18) == (
        "18 held-out images are too few to tell unlike images at 5 %, 19 are needed"
    )  # fmt: skip


def test_what_is_said_of_unlike_images_depends_on_whether_chance_explains_them() -> None:
    assert unlike_sentence(0, 84, 200) is None
    assert unlike_sentence(63, 84, 200) == (
        "63 of 84 images are unlike the images this model was trained and checked on; expected were 4. "
        "Do not trust the answers to them: no figure of the report is about such images."
    )
    assert unlike_sentence(1, 3, 200) == (
        "1 of 3 images is unlike the images this model was trained and checked on; expected was fewer than one, so "
        "that may be chance. Look at these images before you trust the answers to them."
    )
    # With few held-out images the threshold itself is uncertain: 12 of 100 are a reason for alarm with 2,000 only.
    assert more_than_chance(13, 100, 2000) and not more_than_chance(13, 100, 20)


def test_all_images_are_shifted_not_shifted_or_too_few() -> None:
    made = reference(training=200, held_out=150)
    predicted = np.arange(90) % 3
    moved = features_of(predicted) + 0.4
    settings = ShiftSettings()
    whole = shift_of(made, moved, predicted, settings, classes=CLASSES)
    assert whole.decision == "shifted" and whole.p_value is not None and whole.p_value < 0.001
    same = features_of(predicted)
    calm = shift_of(made, same, predicted, settings, classes=CLASSES)
    assert calm.decision == "not shifted"
    assert list(calm.outlier_indices) == np.flatnonzero(are_unlike(likenesses(made, same))).tolist()
    assert calm.shift_score == len(calm.outlier_indices) / 90 and calm.shift_detected is False
    few = shift_of(made, moved[:29], predicted[:29], settings, classes=CLASSES)
    assert few.decision == "not enough images" and few.shift_detected is None and few.p_value is None
    assert few.why == "29 images are too few for a verdict on all of them, 30 are needed"
    patients = shift_of(made, moved, predicted, settings, classes=CLASSES, groups=np.arange(90) // 4)
    assert patients.decision == "not enough images" and "23 images of different groups" in patients.why


def test_the_held_out_images_themselves_cannot_differ_and_it_says_so() -> None:
    kept = known(held_out=60)
    made, predicted = made_reference(kept, classes=3, preprocessing=SHOWN), np.arange(60) % 3
    again = shift_of(made, kept.held_out[::-1], predicted, ShiftSettings(), classes=CLASSES)
    assert again.decision == "not shifted" and "by which the package knows what is usual" in again.why
    others = shift_of(made, features_of(predicted), predicted, ShiftSettings(), classes=CLASSES)
    assert "by which the package knows" not in others.why


def test_classes_that_have_become_more_or_less_frequent_are_no_shift_of_the_images() -> None:
    """Class means are known from a few training images only, so places have an offset of their own in every class."""
    settings, shifted = ShiftSettings(), {"with strata": 0, "as packages of before": 0}
    for _ in range(60):
        made = reference(training=30, held_out=150)
        old = {name: array for name, array in made.content().arrays.items() if not name.startswith("stratum_")}
        before = ShiftReference.from_content(PartContent(made.content().facts, old), version=1)
        predicted = np.repeat([0, 1, 2], [6, 9, 105])
        features = features_of(predicted)
        for name, each in zip(shifted, (made, before), strict=True):
            verdict = shift_of(each, features, predicted, settings, classes=CLASSES)
            shifted[name] += verdict.decision == "shifted"
            assert verdict.class_mix.p_value < 0.001
    assert shifted["with strata"] <= 7 and shifted["as packages of before"] > 20


def test_a_package_of_before_strata_were_kept_is_one_stratum() -> None:
    made = reference(training=200, held_out=150)
    old = {name: array for name, array in made.content().arrays.items() if not name.startswith("stratum_")}
    before = ShiftReference.from_content(PartContent(made.content().facts, old), version=1)
    assert before.strata.counts.tolist() == [150] and np.array_equal(before.strata.means[0], made.held_out_mean)
    predicted = np.arange(90) % 3
    for features, decision in ((features_of(predicted), "not shifted"), (features_of(predicted) + 0.4, "shifted")):
        assert shift_of(before, features, predicted, ShiftSettings(), classes=CLASSES).decision == decision


def test_a_reference_of_few_patients_gives_no_verdict() -> None:
    made = made_reference(known(held_out=60, groups=np.arange(60) // 3), classes=3, preprocessing=SHOWN)
    predicted = np.arange(90) % 3
    verdict = shift_of(made, features_of(predicted), predicted, ShiftSettings(), classes=CLASSES)
    assert verdict.why == "the package knows 20 independent held-out images, 30 are needed for a verdict"


@pytest.fixture
def package(tmp_path, tiny_ready) -> Predictor:
    ready: ReadyModel = tiny_ready
    write_package(tmp_path / "plain", ready, contents=PackageContents(("ant", "bee"), ready.preprocessing, "card"))
    return Predictor(read_package(tmp_path / "plain"))


@pytest.fixture
def tiny_ready() -> ReadyModel:
    torch.manual_seed(0)
    arguments = {"img_size": 16, "patch_size": 8, "embed_dim": 12, "depth": 1, "num_heads": 2, "num_classes": 2}
    network = timm.create_model("vit_tiny_patch16_224", pretrained=False, **arguments).eval()
    shown = Preprocessing(height=16, width=16, crop_fraction=1.0)
    return ReadyModel(
        network, shown, architecture="vit_tiny_patch16_224", model_args=arguments, weights_sha256="0" * 64
    )


def pictures(count: int, *, dark: bool = False) -> np.ndarray:
    return RANDOM.integers(0, 40 if dark else 256, (count, 16, 16, 3), dtype=np.uint8)


def as_file(picture: np.ndarray) -> bytes:
    """The bytes of a PNG file: files have ids, pictures in memory have none."""
    Image.fromarray(picture).save(file := io.BytesIO(), "png")
    return file.getvalue()


def knowing(predictor: Predictor, folder, *, shown: Preprocessing | None = None) -> Predictor:
    training, held_out = (predictor.answers_of(pictures(count)) for count in (60, 60))
    made = made_reference(
        KnownFeatures(training.features, training.logits.argmax(1), held_out.features, held_out.logits.argmax(1), None,
                      "made up"),
        classes=2, preprocessing=shown or predictor.preprocessing,
    )  # fmt: skip
    with_part(predictor.package, made, folder)
    return Predictor(read_package(folder))


def test_answers_say_how_like_the_known_images_each_is_and_are_otherwise_as_before(package, tmp_path) -> None:
    known_images = knowing(package, tmp_path / "knowing")
    images = [*pictures(3), *pictures(2, dark=True)]
    before, after = (gathered_answers(each.answers(images)) for each in (package, known_images))
    assert np.array_equal(before.logits, after.logits) and np.array_equal(before.features, after.features)
    assert before.likeness is None and after.likeness is not None
    assert (after.likeness[3:] < 0.05).all() and (after.likeness[:3] > 0.01).all()
    assert np.array_equal(known_images.answers_of(np.stack(images)).likeness, after.likeness)
    answer, plain = after[4], before[4]
    assert isinstance(answer, Prediction) and isinstance(plain, Prediction)
    assert answer.unlike and plain.unlike is None
    assert "unlike known images" in repr(answer) and "unlike" not in repr(plain)
    assert answer.as_json() == {**plain.as_json(), "likeness": round(float(after.likeness[4]), 7), "unlike": True}


def test_an_image_that_cannot_be_read_is_not_called_unlike(package, tmp_path) -> None:
    answers = gathered_answers(knowing(package, tmp_path / "knowing").answers([b"nothing", *pictures(1)]))
    assert np.isnan(answers.likeness[0]) and not np.isnan(answers.likeness[1])


def test_a_package_without_the_part_says_how_to_get_one_and_answers_all_the_same(package, tmp_path) -> None:
    with pytest.raises(PackageError, match=r"not say what the images are like.*\nhint: vitrail watch PACKAGE DATA"):
        package.needed_reference()
    assert len(package.predict(pictures(2)[0])) == 1
    other = knowing(package, tmp_path / "other", shown=Preprocessing(height=32, width=32))
    assert other.reference is None and len(other.predict(pictures(2)[0])) == 1
    with pytest.raises(PackageError, match="was made with another preprocessing"):
        other.needed_reference()


def test_watching_keeps_rows_of_files_that_could_be_read_and_the_most_unusual_of_them(package, tmp_path) -> None:
    predictor = knowing(package, tmp_path / "knowing")
    watched = WatchedImages.by(predictor.needed_reference(), ShiftSettings(unusual_shown=3))
    images = [*pictures(20), b"nothing", *pictures(20, dark=True)]
    for answers in predictor.answers(images, batch_size=8, workers=0):
        watched.add(answers)
    verdict = watched.verdict(classes=predictor.classes)
    everything = gathered_answers(predictor.answers(images, workers=0))
    assert verdict.images == 40 and watched.given == 41 and len(watched.unread) == 1
    assert list(verdict.outlier_indices) == np.flatnonzero(everything.likeness <= 0.05).tolist()
    assert len(watched.unusual.found) == 3 and all(each.row > 20 for each in watched.unusual.found)
    assert [each.row for each in watched.unusual.found] == list(verdict.most_unusual)
    assert verdict.decision == "shifted"
    read = np.isfinite(everything.likeness)
    at_once = shift_of(
        watched.reference, everything.features[read], everything.logits[read].argmax(axis=1), watched.settings,
        classes=predictor.classes,
    )  # fmt: skip
    assert verdict.features.p_value == pytest.approx(at_once.features.p_value)


def test_images_that_the_model_was_trained_on_are_known_and_say_nothing_of_the_others(package, tmp_path) -> None:
    predictor = knowing(package, tmp_path / "knowing")
    bright, dark = ([as_file(each) for each in pictures(40, dark=night)] for night in (False, True))
    answers = gathered_answers(predictor.answers([*bright, *dark], workers=0))

    def verdict(images, known):
        seen = Seen.of(known, seed=0, fingerprint="any")
        watched = WatchedImages.by(predictor.needed_reference(), ShiftSettings(), seen)
        for each in predictor.answers(images, batch_size=8, workers=0):
            watched.add(each)
        return watched.verdict(classes=predictor.classes)

    every = verdict(dark, answers.ids[40:])
    assert (every.decision, every.images, every.trained_on, every.shift_detected) == ("not shifted", 0, 40, False)
    assert every.why == "the model was trained on these very images, all 40"
    nearly = verdict(dark, answers.ids[43:])
    assert (nearly.decision, nearly.images) == ("not shifted", 3)
    assert nearly.why == "the model was trained on 37 of these 40 images themselves"
    few = verdict(dark, answers.ids[60:])
    assert few.decision == "not enough images" and few.why.startswith("20 new images are too few")
    mixed = verdict([*bright, *dark], answers.ids[:40])
    assert (mixed.decision, mixed.images, mixed.trained_on) == ("shifted", 40, 40)
    assert min(mixed.most_unusual) >= 40
    rows, predicted = np.arange(80), answers.logits.argmax(axis=1)
    alone = GatheredImages.of(predictor.needed_reference(), answers.features, predicted, rows // 2, rows < 40)
    assert (len(alone.distances), alone.units, alone.trained_on, alone.rows.min()) == (40, 20, 40, 40)


def test_a_stream_counts_an_image_once_and_belongs_to_its_package(package, tmp_path) -> None:
    predictor = knowing(package, tmp_path / "knowing")
    file, distances = tmp_path / "state.json", np.linspace(1, 2, 10)
    first = ShiftStream.of(predictor).after([f"image{number}" for number in range(10)], distances)
    keep_stream(first, file)
    again = read_stream(file, predictor)
    assert again.test.as_json() == first.stream.test.as_json()
    second = again.after([*(f"image{number}" for number in range(10)), "new", "", ""], np.linspace(1, 3, 13))
    assert (first.fresh, second.fresh, second.stream.test.seen) == (10, 3, 13)
    other = knowing(package, tmp_path / "second")
    with pytest.raises(InputError, match=r"of another package\nhint: name another file"):
        read_stream(file, other)
    file.write_text(file.read_text().replace('"seen": 10', '"seen": 11'))
    with pytest.raises(InputError, match="is no state of a stream: it is not what was written"):
        read_stream(file, predictor)
