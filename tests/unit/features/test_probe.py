import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from vitrail.basics.errors import InputError
from vitrail.features.probe import ProbeSettings, fit_probe


def clouds(classes: int, *, count: int = 120, width: int = 6, seed: int = 0, spread: float = 1.0):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, width)) * 2
    labels = generator.integers(0, classes, count)
    features = (centres[labels] + spread * generator.normal(size=(count, width))) * 7 + 3
    return features.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_folded_head_gives_the_probabilities_of_scikit_learns_pipeline(classes):
    features, labels = clouds(classes)
    probe = fit_probe(features, labels, ProbeSettings(strengths=(0.1,)))
    scaler = StandardScaler().fit(features)
    reference = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000).fit(scaler.transform(features), labels)
    logits = probe.logits(features).astype(np.float64)
    ours = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours, reference.predict_proba(scaler.transform(features)), atol=2e-4)
    assert probe.weight.dtype == probe.bias.dtype == np.float32


def test_the_strength_with_the_least_cross_validated_loss_is_chosen():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 200)).astype(np.float32)
    labels = (features[:, 0] + 2 * generator.normal(size=60) > 0).astype(int)
    probe = fit_probe(features, labels, ProbeSettings())
    assert probe.strength == min(probe.cross_validated_loss, key=probe.cross_validated_loss.get)
    assert probe.strength < 1e-1, "with 200 noisy features and 60 images, strong regularisation must win"


def test_the_cross_validated_loss_is_that_of_held_out_folds():
    features, labels = clouds(2, count=90, spread=2.5)
    probe = fit_probe(features, labels, ProbeSettings(strengths=(1.0,), folds=3), seed=4)
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    scaled = StandardScaler().fit_transform(features)
    total = 0.0
    for train, held_out in StratifiedKFold(3, shuffle=True, random_state=4).split(scaled, labels):
        model = LogisticRegression(C=1.0, max_iter=1000).fit(scaled[train], labels[train])
        total += log_loss(labels[held_out], model.predict_proba(scaled[held_out])) * len(held_out)
    assert probe.cross_validated_loss[1.0] == pytest.approx(total / len(labels), abs=1e-4)


def test_images_of_one_group_never_help_to_predict_each_other():
    generator = np.random.default_rng(1)
    patients = np.repeat(np.arange(20), 6)
    labels = np.repeat(np.arange(20) % 2, 6)
    features = (generator.normal(size=(20, 30))[patients] + 0.01 * generator.normal(size=(120, 30))).astype(np.float32)
    groups = [f"p{patient}" for patient in patients]
    settings = ProbeSettings(strengths=(1.0,))
    leaking = fit_probe(features, labels, settings).cross_validated_loss[1.0]
    honest = fit_probe(features, labels, settings, groups=groups).cross_validated_loss[1.0]
    assert leaking < 0.1 < 0.4 < honest


def test_a_class_with_one_image_is_fitted_all_the_same():
    features, labels = clouds(2)
    labels[:] = np.minimum(labels, 1)
    features, labels = np.vstack([features, features[:1] + 40]), np.append(labels, 2)
    probe = fit_probe(features, labels, ProbeSettings())
    assert probe.weight.shape == (3, 6)
    assert probe.logits(features[-1:]).argmax() == 2


def test_a_feature_that_never_changes_does_no_harm():
    features, labels = clouds(2)
    features[:, 0] = 5
    assert np.isfinite(fit_probe(features, labels, ProbeSettings()).weight).all()


def test_one_class_and_broken_features_are_refused():
    features, labels = clouds(2)
    with pytest.raises(InputError, match="all of one class"):
        fit_probe(features, np.zeros_like(labels), ProbeSettings())
    features[3, 2] = np.nan
    with pytest.raises(InputError, match=r"not finite\nhint: try --set precision=float32"):
        fit_probe(features, labels, ProbeSettings())


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_there_are_as_many_folds_as_groups_allow(count):
    features, labels = clouds(2, count=80)
    groups = [f"p{number % count}" for number in range(80)]
    probe = fit_probe(features, labels, ProbeSettings(strengths=(1.0,)), groups=groups)
    assert probe.folds == (0 if count == 1 else min(count, 5))
    assert np.isfinite(probe.weight).all()


def test_groups_that_are_classes_leave_nothing_to_choose_with():
    features, labels = clouds(2, count=40)
    probe = fit_probe(features, labels, ProbeSettings(), groups=[f"p{label}" for label in labels])
    assert (probe.folds, probe.strength) == (0, 1.0)


def test_hundreds_of_classes_of_few_images_are_fitted_without_a_word_about_regression():
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 2)  # warnings are errors here
    features = generator.normal(size=(80, 4)).astype(np.float32)
    assert fit_probe(features, labels[: len(features)] * 1, ProbeSettings(strengths=(1.0,), folds=2)).weight.shape == (
        40,
        4,
    )
    few = np.arange(45) % 30
    assert fit_probe(features[:45], few, ProbeSettings(strengths=(1.0,), folds=2)).weight.shape == (30, 4)


def test_an_image_of_weight_two_counts_as_two_images_for_the_probe():
    rng = np.random.default_rng(7)
    features, labels = rng.normal(size=(60, 4)), rng.integers(0, 2, 60)
    weights = np.where(np.arange(60) < 20, 2.0, 1.0)
    settings = ProbeSettings(strengths=(0.5,))
    # Scaling does not know weights: the same features, scaled beforehand, make both comparable.
    features = (features - features.mean(0)) / features.std(0)
    weighted = fit_probe(features, labels, settings, weights=weights)
    doubled = LogisticRegression(C=0.5, tol=1e-8).fit(
        np.vstack([features, features[:20]]), np.concatenate([labels, labels[:20]])
    )
    assert np.allclose(weighted.weight[1] - weighted.weight[0], doubled.coef_[0], atol=1e-4)
    plain, ones = fit_probe(features, labels, settings), fit_probe(features, labels, settings, weights=np.ones(60))
    assert (plain.weight == ones.weight).all() and plain.cross_validated_loss == ones.cross_validated_loss
