import functools

import numpy as np
import pytest

from vitrail.measures import paired
from vitrail.training import choice as choices
from vitrail.training.choice import Candidates, EpochChoice, choose_epoch, cross_fitted_epochs

SETS = 120
QUICK = functools.partial(paired.sign_flip_p_value, flips=999)


@pytest.fixture(autouse=True)
def _fewer_sign_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the patterns: p-values are a little coarser, and hundreds of sets take a second."""
    monkeypatch.setattr(paired, "sign_flip_p_value", QUICK)


def candidates(
    seed: int, *, count: int = 60, epochs: int = 6, gains: dict[int, float] | None = None,
    groups: np.ndarray | None = None,
) -> Candidates:  # fmt: skip
    """Models that are equally good and err in part on the same images; `gains`: how much better some of them are."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    signal = np.zeros((count, 2))
    signal[np.arange(count), labels] = 1.0
    shared = 0.7 * generator.normal(size=(count, 2))
    own = 0.7 * generator.normal(size=(1 + epochs, count, 2))
    gain = np.array([1.0 + (gains or {}).get(model, 0.0) for model in range(1 + epochs)])
    return Candidates((gain[:, None, None] * signal + shared + own).astype(np.float32), labels, groups, seed)


def mean_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(Candidates(logits[None], labels, None, 0).losses().mean())


@pytest.fixture(scope="module")
def noise_sets() -> list[tuple[Candidates, EpochChoice]]:
    """Sets in which no epoch is better than the probe, and what is chosen in each; drawn and chosen once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paired, "sign_flip_p_value", QUICK)
        return [(each, choose_epoch(each)) for each in (candidates(seed, epochs=12) for seed in range(SETS))]


def test_losses_are_the_log_losses_of_the_true_class():
    logits = np.array([[[0.0, 0.0], [2.0, 0.0]], [[1000.0, 0.0], [0.0, 1000.0]]], dtype=np.float32)
    losses = Candidates(logits, np.array([0, 1]), None, 0).losses()
    np.testing.assert_allclose(losses, [[np.log(2), np.log1p(np.exp(2))], [0, 0]], atol=1e-12)


def test_epochs_that_are_as_good_as_the_probe_rarely_replace_it(noise_sets):
    kept = [choice.epoch for _, choice in noise_sets]
    assert sum(epoch is not None for epoch in kept) / SETS < 0.08


def test_noise_would_often_win_if_its_best_epoch_were_judged_on_the_images_that_chose_it(noise_sets):
    naive = 0
    for each, _ in noise_sets:
        losses = each.losses()
        best = 1 + losses[1:].mean(axis=1).argmin()
        naive += paired.compare_losses(losses[0], losses[best], seed=0).decision == "better"
    assert naive / SETS > 0.1, "or the sets are too easy to show anything"


def test_a_clear_improvement_is_kept_and_its_best_epoch_found():
    for seed in range(20):
        choice = choose_epoch(candidates(seed, count=150, gains={3: 1.0, 4: 3.0, 5: 1.0}))
        assert choice.epoch == 4 and choice.comparison.decision == "better"


def test_in_doubt_training_is_kept_where_that_was_asked_unless_it_is_worse_beyond_chance():
    for seed in range(6):
        given = candidates(seed, count=150, gains={3: 0.05})
        choice = choose_epoch(given, in_doubt="trained")
        assert (choice.epoch is None) == (choice.comparison.decision == "worse")
        assert choice.comparison == choose_epoch(given).comparison
    doubtful = candidates(1, count=150, gains={3: 0.2})
    choice = choose_epoch(doubtful, in_doubt="trained")
    assert choice.comparison.decision not in ("better", "worse") and choice.epoch is not None
    assert not np.isclose(choice.cross_fitted, doubtful.logits[0]).all(axis=1).any(), "the probe answers nothing"
    worse = candidates(0, count=150, gains={0: 2.0})
    assert choose_epoch(worse, in_doubt="trained").epoch is None


def test_training_that_makes_it_worse_leaves_the_probe_and_its_answers():
    given = candidates(0, count=150, gains=dict.fromkeys(range(1, 7), -0.9))
    choice = choose_epoch(given)
    assert choice.epoch is None and choice.comparison.decision == "worse"
    assert np.array_equal(choice.cross_fitted, given.logits[0])


def test_figures_of_noise_are_not_made_better_by_choosing_among_it(noise_sets):
    cross_fitted, chosen, naive, true = [], [], [], []
    for each, choice in noise_sets[: SETS // 2]:
        losses = each.losses()
        cross_fitted.append(mean_loss(cross_fitted_epochs(each), each.labels))
        chosen.append(mean_loss(choice.cross_fitted, each.labels))
        naive.append(losses[1:].mean(axis=1).min())
        true.append(losses.mean())
    flattery = {
        name: (np.mean(np.subtract(true, figures)), np.std(np.subtract(true, figures)) / np.sqrt(len(true)))
        for name, figures in {"epochs": cross_fitted, "choice": chosen, "naive": naive}.items()
    }
    assert flattery["epochs"][0] < 2 * flattery["epochs"][1]
    assert flattery["choice"][0] < max(0.01, 2 * flattery["choice"][1])
    assert flattery["naive"][0] > 0.05 and flattery["naive"][0] > 10 * flattery["naive"][1]


def test_every_image_is_answered_by_a_choice_that_it_had_no_part_in():
    given = candidates(1, gains={2: 2.0, 5: 2.0})
    plain = cross_fitted_epochs(given)
    for image in range(0, 60, 7):
        spoiled = given.logits.copy()
        spoiled[2, image] = [0, 0]
        spoiled[2, image, 1 - given.labels[image]] = 1000.0  # epoch 2 is ruined, by this one image
        found = cross_fitted_epochs(Candidates(spoiled, given.labels, None, given.seed))
        epoch = [index for index in range(1, 7) if np.array_equal(plain[image], given.logits[index, image])]
        assert np.array_equal(found[image], spoiled[epoch[0], image])


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_group_never_stands_on_both_sides(size):
    groups = np.arange(60) // size
    given = candidates(2, groups=groups)
    folds = choices._folds(given)
    assert len(folds) == 5
    for chosen_on, judged in folds:
        assert not set(groups[chosen_on]) & set(groups[judged])
        assert sorted([*chosen_on, *judged]) == list(range(60))
    assert sorted(np.concatenate([judged for _, judged in folds])) == list(range(60))


def test_groups_are_flipped_together_so_that_copies_are_no_evidence():
    few = candidates(3, count=8, gains=dict.fromkeys(range(1, 7), 3.0))
    copies = np.tile(np.arange(8), 20)
    many = Candidates(few.logits[:, copies], few.labels[copies], copies, 3)
    assert choose_epoch(many).comparison.groups == 8
    assert choose_epoch(many).comparison.p_value >= 2 / 2**8
    alone = Candidates(few.logits[:, copies], few.labels[copies], None, 3)
    assert choose_epoch(alone).comparison.p_value < 2 / 2**8


def test_groups_that_choose_by_luck_do_not_replace_the_probe():
    replaced = 0
    for seed in range(SETS):
        single = candidates(seed, count=30)
        groups = np.repeat(np.arange(30), 5)
        given = Candidates(single.logits[:, groups], single.labels[groups], groups, seed)
        replaced += choose_epoch(given).epoch is not None
    assert replaced / SETS < 0.08


@pytest.mark.parametrize(("labels", "groups"), [
    ([0], None), ([0, 1], None), ([0, 0, 0], None), ([0, 1, 2, 3, 4, 5, 6], None), ([0, 0, 0, 0, 0, 0, 1], None),
    ([0, 1, 0, 1], [0, 0, 0, 0]), ([0, 1, 0, 1, 0, 1], [0, 0, 0, 1, 1, 1]),
])  # fmt: skip
def test_few_images_few_groups_and_rare_classes_give_a_choice_too(labels, groups):
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4, len(labels), 7)).astype(np.float32)
    given = Candidates(logits, np.array(labels), None if groups is None else np.array(groups), 0)
    choice = choose_epoch(given)
    assert choice.epoch is None, "so few images are no evidence"
    assert np.array_equal(choice.cross_fitted, logits[0])


def test_the_same_seed_makes_the_same_choice_and_one_epoch_is_enough():
    given = candidates(4, epochs=1, count=150, gains={1: 2.0})
    assert choose_epoch(given).epoch == 1
    assert choose_epoch(given).comparison == choose_epoch(given).comparison
    assert np.array_equal(choose_epoch(given).cross_fitted, choose_epoch(given).cross_fitted)


def too_sure(seed: int) -> Candidates:
    """Epochs that are right more often than the probe, and ten times too sure of it."""
    given = candidates(seed, count=300, gains=dict.fromkeys(range(1, 7), 1.0))
    logits = given.logits.copy()
    logits[1:] *= 10
    return Candidates(logits, given.labels, None, seed)


def test_an_epoch_that_is_better_but_too_sure_is_kept_with_its_confidence_lowered():
    for seed in range(10):
        given = too_sure(seed)
        choice = choose_epoch(given)
        assert choice.epoch is not None and choice.temperature > 3
        softened = mean_loss(given.logits[choice.epoch] / choice.temperature, given.labels)
        assert softened < mean_loss(given.logits[0], given.labels)
        assert softened < mean_loss(given.logits[choice.epoch], given.labels)


def test_a_probe_that_stays_keeps_its_confidence():
    assert choose_epoch(candidates(0)).temperature == 1.0
