import json

import numpy as np
import pytest
import sklearn.metrics

from tests.unit.evaluation.realistic_report import image_rows, realistic_answers
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.quality import judge


def answers(groups: list[str | None] | None = None, **changes: object) -> JudgedImages:
    fields = {"labels": ["ant", "bee", "bee"], "probabilities": np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])}
    fields |= changes
    table = image_rows(["a", "b", "c"], ["a.jpg", "b.jpg", "c.jpg"], fields["labels"], group=groups)
    classes = fields.get("classes", ("ant", "bee"))
    logits = np.log(fields["probabilities"])
    return JudgedImages.joined(table, ["a", "b", "c"], logits, classes=classes, measured_on="val")


def test_two_classes_are_judged_as_scikit_learn_would() -> None:
    given = realistic_answers(["ants", "bees"], n=153)
    quality, predicted = judge(given, seed=0), given.probabilities.argmax(1)
    assert quality.accuracy.value == pytest.approx(sklearn.metrics.accuracy_score(given.labels, predicted))
    assert quality.auc.value == pytest.approx(sklearn.metrics.roc_auc_score(given.labels, given.probabilities[:, 1]))
    assert quality.log_loss.value == pytest.approx(sklearn.metrics.log_loss(given.labels, given.probabilities))
    assert np.array_equal(quality.confusion, sklearn.metrics.confusion_matrix(given.labels, predicted))
    assert (quality.n, quality.groups, quality.measured_on, quality.verdict.decision) == (153, None, "val", "better")


def test_many_classes_are_judged_one_against_the_rest() -> None:
    given = realistic_answers(list("abcde"), n=200)
    expected = sklearn.metrics.roc_auc_score(given.labels, given.probabilities, multi_class="ovr")
    assert judge(given, seed=0).auc.value == pytest.approx(expected)


def test_the_most_wrong_are_the_mistakes_with_the_least_probable_truth() -> None:
    quality = judge(answers(), seed=0)
    assert quality.most_wrong == (1, 2)
    assert (quality.majority_class, quality.majority.value) == ("bee", pytest.approx(2 / 3))


def test_labels_that_were_swapped_stand_first_among_the_most_wrong() -> None:
    random, K = np.random.default_rng(1), 3
    truth = random.integers(0, K, 600)
    logits = 4 * np.eye(K)[truth] + random.standard_normal((600, K))  # of classes that just touch
    swapped = random.choice(600, 30, replace=False)
    truth[swapped] = (truth[swapped] + random.integers(1, K, 30)) % K
    ids, names = [str(place) for place in range(600)], ("ant", "bee", "fly")
    table = image_rows(ids, ids, [names[number] for number in truth])
    judged = JudgedImages.joined(table, ids, logits, classes=names, measured_on="val")
    found = judge(judged, seed=0).most_wrong[:30]
    assert len(set(found) & set(swapped.tolist())) >= 29  # 95 of 100, looking at one image in twenty


def test_every_figure_is_the_same_in_json() -> None:
    quality = judge(realistic_answers(list("abc"), n=60), seed=0)
    fields = json.loads(json.dumps(quality.as_json(), allow_nan=False))
    assert fields["accuracy"] == quality.accuracy.as_json()
    assert fields["per_class"][2]["f1"]["high"] == quality.per_class[2].f1.high
    assert fields["calibration"]["error"]["value"] == quality.calibration.error.value
    assert fields["confusion"] == quality.confusion.tolist()


def test_the_same_seed_gives_the_same_judgement() -> None:
    given = realistic_answers(list("abc"), n=60, skill=0.5)
    assert judge(given, seed=3).as_json() == judge(given, seed=3).as_json()
    assert judge(given, seed=3).auc != judge(given, seed=4).auc


def test_images_without_a_group_stand_alone_and_patients_count_once() -> None:
    given = answers(groups=["p1", None, "p1"])
    assert given.groups.tolist() == [0, 1, 0]
    quality = judge(given, seed=0)
    assert quality.groups == 2 and quality.verdict.method == "sign-flip test over groups"
    assert answers(groups=[None, None, None]).groups is None


def test_a_group_named_like_an_id_is_not_mixed_up_with_it() -> None:
    assert answers(groups=[None, "a", "a"]).groups.tolist() == [0, 1, 1]


def test_a_class_without_images_leaves_the_auc_undefined_and_says_so() -> None:
    quality = judge(answers(labels=["bee"] * 3), seed=0)
    assert quality.auc.undefined_because == "there is no negative image"
    assert quality.accuracy.value == 0
