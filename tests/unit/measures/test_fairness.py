import fairlearn.metrics as fl
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from vitrail.measures.fairness import Fairness, decided_together, fairness_of
from vitrail.measures.fairness_counts import Units, contingency_table, shares_of
from vitrail.measures.fairness_gaps import spread_of
from vitrail.measures.fairness_null import Chance, dealt_groups, dealt_spreads, spreads_of_patients
from vitrail.measures.fairness_rates import Compared
from vitrail.measures.multiple_tests import holm


def compared(names="ab", classes=("no", "yes"), **others) -> Compared:
    return Compared(list(names), np.ones(len(names), bool), list(classes), **{"least_group": 1, **others})


def fair_draw(seed, sizes=(200, 200), rate=0.8, K=2, gap=0.0):
    """Groups, labels and answers; the last group is right less often by `gap`."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    labels = random.integers(0, K, len(group))
    right = random.random(len(group)) < rate - gap * (group == len(sizes) - 1)
    return group, labels, np.where(right, labels, (labels + random.integers(1, K, len(group))) % K)


def test_a_worked_example_has_the_published_differences():
    group, labels = np.repeat([0, 1], 4), np.array([1, 1, 0, 0, 1, 1, 1, 0])
    (yes,) = fairness_of(group, labels, np.array([1, 0, 0, 0, 1, 1, 0, 1]), compared()).classes
    assert [yes.positive_rate.by_group[each].value for each in "ab"] == [0.25, 0.75]
    assert [yes.tpr.by_group[each].value for each in "ab"] == pytest.approx([1 / 2, 2 / 3])
    assert [yes.fpr.by_group[each].value for each in "ab"] == [0, 1]
    assert yes.positive_rate.difference.value == 0.5 and yes.positive_rate.ratio.value == pytest.approx(1 / 3)
    assert yes.equalized_odds_difference.value == 1.0
    assert yes.equalized_odds_mean_difference.value == pytest.approx(0.58333, abs=1e-5)
    assert yes.tpr.difference.value == pytest.approx(1 / 6)
    assert (yes.positive_rate.lowest, yes.positive_rate.highest) == ("a", "b")


def test_the_example_of_fairlearns_documentation():
    labels, predicted = np.array([1, 1, 1, 1, 1, 0, 0, 1, 1, 0]), np.array([0, 1, 1, 1, 1, 0, 0, 0, 1, 1])
    found = fairness_of(np.repeat([0, 1], 5), labels, predicted, compared("FM"))
    assert [found.accuracy.by_group[each].value for each in "FM"] == [0.8, 0.6]
    rate = found.classes[0].positive_rate
    assert found.accuracy.difference.value == pytest.approx(0.2) and rate.difference.value == pytest.approx(0.4)
    assert found.accuracy.ratio.value == pytest.approx(0.75) and rate.ratio.value == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(2))
def test_fairlearn_agrees_on_random_answers_each_class_against_the_rest(seed):
    random = np.random.default_rng(seed)
    K, names = 4, "abcde"
    group, labels, predicted = (random.integers(0, most, 600) for most in (5, K, K))
    found = fairness_of(group, labels, predicted, compared(names, [f"c{k}" for k in range(K)]))
    frame = fl.MetricFrame(metrics=accuracy_score, y_true=labels, y_pred=predicted, sensitive_features=group)
    assert found.accuracy.difference.value == pytest.approx(frame.difference())
    assert found.accuracy.ratio.value == pytest.approx(frame.ratio())
    for k, one in enumerate(found.classes):
        given = {"y_true": labels == k, "y_pred": predicted == k, "sensitive_features": group}
        assert one.positive_rate.difference.value == pytest.approx(fl.demographic_parity_difference(**given))
        assert one.positive_rate.ratio.value == pytest.approx(fl.demographic_parity_ratio(**given))
        assert one.equalized_odds_difference.value == pytest.approx(fl.equalized_odds_difference(**given))
        mean = fl.equalized_odds_difference(**given, agg="mean")
        assert one.equalized_odds_mean_difference.value == pytest.approx(mean)
        assert one.tpr.difference.value == pytest.approx(fl.equal_opportunity_difference(**given))
        assert one.tpr.ratio.value == pytest.approx(fl.equal_opportunity_ratio(**given))
        least = min(one.tpr.ratio.value, one.fpr.ratio.value)
        assert least == pytest.approx(fl.equalized_odds_ratio(**given))
        by_group = fl.MetricFrame(
            metrics={"tpr": fl.true_positive_rate, "fpr": fl.false_positive_rate}, **given
        ).by_group
        for rate in ("tpr", "fpr"):
            values = [getattr(one, rate).by_group[name].value for name in names]
            assert values == pytest.approx(by_group[rate].tolist())


def test_a_group_without_positives_is_undefined_with_its_reason_where_fairlearn_says_zero():
    group, labels = np.repeat([0, 1], 4), np.array([1, 1, 0, 0, 0, 0, 0, 0])
    predicted = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    (yes,) = fairness_of(group, labels, predicted, compared()).classes
    assert yes.tpr.by_group["b"].value is None and yes.tpr.by_group["b"].undefined_because == "no images of 'yes'"
    assert yes.tpr.left_out == {"b": "no images of 'yes'"} and yes.tpr.verdict == "not enough evidence"
    assert yes.tpr.difference.value is None and yes.tpr.is_fair is None
    assert yes.tpr.difference.undefined_because == "only one group is large enough, and a difference needs two"
    assert yes.equalized_odds_difference.value is None
    assert "true positive rate: only one group" in yes.equalized_odds_difference.undefined_because
    assert fl.equalized_odds_difference(labels, predicted, sensitive_features=group) == 1.0  # the false alarm


def test_small_groups_are_named_and_shown_but_not_compared():
    group, labels, predicted = fair_draw(0, (100, 100, 3))
    labels[-3:] = 1
    found = fairness_of(group, labels, predicted, compared("abc", least_group=20))
    assert found.accuracy.left_out == {"c": "only 3 images, at least 20 needed"}
    assert "images of 'yes', at least 20 needed" in found.classes[0].tpr.left_out["c"]
    assert found.accuracy.by_group["c"].n == 3 and found.accuracy.difference.n == 200
    alone = fairness_of(group[:100], labels[:100], predicted[:100], compared("a", least_group=20))
    assert alone.accuracy.difference.value is None and alone.accuracy.chance is None


def test_wilsons_and_newcombes_published_intervals():
    (share,) = shares_of(np.array([[[9, 1], [0, 0]]]), [])
    assert (share.hits.tolist(), share.trials.tolist()) == ([9], [10])
    found = fairness_of(np.zeros(10, int), np.zeros(10, int), np.arange(10) // 9, compared("a"))
    nine = found.accuracy.by_group["a"]
    assert (nine.low, nine.high) == pytest.approx((0.59585, 0.98212), abs=1e-5)
    for hits, trials, limits in [((56, 48), (70, 80), (0.0524, 0.3339)), ((9, 3), (10, 10), (0.1705, 0.8090)),
                                 ((10, 0), (10, 20), (0.6791, 1.0))]:  # fmt: skip
        spread = spread_of(np.array(hits), np.array(trials), np.array(trials, float), name="x", margin=0.1)
        assert (spread.difference.low, spread.difference.high) == pytest.approx(limits, abs=1e-4)


def test_the_p_value_of_the_margin_is_where_the_interval_would_end_at_it():
    hits, trials = np.array([160, 110]), np.array([200, 200])
    low = spread_of(hits, trials, trials.astype(float), name="x", margin=0.1).difference.low
    at_its_end = spread_of(hits, trials, trials.astype(float), name="x", margin=low)
    assert at_its_end.p_value == pytest.approx(0.05, abs=1e-6)
    assert spread_of(hits, trials, trials.astype(float), name="x", margin=0.3).p_value == 1.0


@pytest.mark.parametrize(
    ("sizes", "mean", "limit"),
    [
        ((50, 50), 0.080, 0.200),
        ((200, 200), 0.040, 0.095),
        ((1000, 1000), 0.018, 0.044),
        ((50,) * 5, 0.164, 0.280),
        ((200,) * 5, 0.082, 0.135),
        ((50,) * 10, 0.217, 0.320),
    ],
)
def test_by_chance_alone_groups_lie_as_far_apart_as_simulated(sizes, mean, limit):
    chance = Chance.of(0.0, dealt_spreads([(np.array(sizes), sum(sizes) // 2)], np.array(sizes), draws=9999, seed=0))
    assert chance.expected == pytest.approx(mean, abs=0.003) and chance.usual_limit == pytest.approx(limit, abs=0.011)
    assert chance.p_value == 1.0


def test_dealing_out_counts_is_dealing_out_the_attribute_among_images():
    random = np.random.default_rng(0)
    group, hit = random.integers(0, 3, 60), random.random(60) < 0.4
    sizes = np.bincount(group)
    counted = dealt_spreads([(sizes, int(hit.sum()))], sizes, draws=4000, seed=1)
    shuffled = []
    for _ in range(4000):
        rates = np.bincount(random.permutation(group), weights=hit) / sizes
        shuffled.append(rates.max() - rates.min())
    assert counted.mean() == pytest.approx(np.mean(shuffled), abs=0.008)
    assert np.quantile(counted, 0.95) == pytest.approx(np.quantile(shuffled, 0.95), abs=0.02)


def test_the_p_value_of_every_rank_among_draws_is_right_and_never_zero():
    drawn = np.arange(100.0)  # with the observed one 101 numbers, each of them as likely to be the observed one
    p_values = np.array([Chance.of(rank - 0.5, drawn).p_value for rank in range(101)])
    assert p_values.min() == 1 / 101 and p_values.max() == 1.0
    assert np.mean(p_values <= 0.05) == 5 / 101  # b / m would be 6 / 101, and 0 for one of them


def test_p_values_of_chance_are_uniform_where_there_is_no_difference():
    random, sizes, values = np.random.default_rng(0), np.array([150, 211, 253]), []
    for seed in range(400):
        hits = random.binomial(sizes, 0.7)
        drawn = dealt_spreads([(sizes, int(hits.sum()))], sizes, draws=999, seed=seed)
        values.append(Chance.of(float(np.ptp(hits / sizes)), drawn).p_value)
    farthest = np.abs(np.sort(values) - np.arange(1, 401) / 400).max()  # Kolmogorov-Smirnov: 5 % are above 0.068
    assert farthest < 0.068 and 0.03 < np.mean(np.array(values) < 0.05) < 0.075


def test_the_verdict_unfair_is_rarely_wrong_and_finds_what_is_unfair():
    """1,000 draws of each kind: `python -m benchmarks.judging --only fair_verdicts`."""

    def unfair(seed, **kind):
        found = fairness_of(*fair_draw(seed, (150, 150), K=3, **kind), compared(classes="xyz", most_draws=9))
        return "unfair" in {found.accuracy.verdict, *(one.equalized_odds_verdict for one in found.classes)}

    assert np.mean([unfair(seed) for seed in range(80)]) <= 0.05
    assert np.mean([unfair(seed, gap=0.1) for seed in range(80)]) <= 0.08
    assert np.mean([unfair(seed, gap=0.4) for seed in range(20)]) >= 0.95


def test_much_evidence_of_no_difference_is_the_verdict_fair_and_little_is_not():
    assert fairness_of(*fair_draw(0, (4000, 4000)), compared()).accuracy.verdict == "fair"
    little = fairness_of(*fair_draw(0, (60, 60)), compared()).accuracy
    assert little.verdict == "not enough evidence" and little.is_fair is None


def of_patients(seed, patients=80, each=10):
    """Two groups of patients, right about all images of one or of none."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), each)
    labels = random.integers(0, 2, len(patient))
    right = np.repeat(random.random(patients) < 0.7, each)
    return patient % 2, labels, np.where(right, labels, 1 - labels), patient


def test_images_of_one_patient_count_as_one_where_they_are_all_alike():
    group, labels, predicted, patient = of_patients(0)
    by_patients = fairness_of(group, labels, predicted, compared(), patients=patient).accuracy
    once = fairness_of(group[::10], labels[::10], predicted[::10], compared()).accuracy
    assert by_patients.difference.value == once.difference.value and by_patients.difference.n == 800
    widths = [each.difference.high - each.difference.low for each in (by_patients, once)]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)
    assert by_patients.chance.expected == pytest.approx(once.chance.expected, rel=0.1)
    naive = fairness_of(group, labels, predicted, compared()).accuracy
    assert naive.chance.expected < by_patients.chance.expected / 2


def test_where_images_are_independent_patients_of_one_image_change_next_to_nothing():
    group, labels, predicted = fair_draw(3)
    plain = fairness_of(group, labels, predicted, compared())
    single = fairness_of(group, labels, predicted, compared(), patients=np.arange(400))
    for one, other in zip(
        (plain.accuracy, plain.classes[0].tpr), (single.accuracy, single.classes[0].tpr), strict=True
    ):
        assert one.difference.high == pytest.approx(other.difference.high, abs=0.003)
        assert one.chance.p_value == pytest.approx(other.chance.p_value, abs=0.03)
        assert one.chance.expected == pytest.approx(other.chance.expected, abs=0.004)


def test_whole_patients_keep_their_stratum_and_groups_their_size():
    random = np.random.default_rng(0)
    group, stratum = random.integers(0, 3, 40), random.integers(0, 2, 40)
    dealt = dealt_groups(group, stratum, draws=50, seed=0)
    for row in dealt:
        for each in range(2):
            assert sorted(row[stratum == each]) == sorted(group[stratum == each])
    assert len({tuple(row) for row in dealt.tolist()}) == 50
    hits, trials = np.arange(40.0), np.full(40, 40.0)
    by_hand = [
        np.ptp([hits[row == g].sum() / trials[row == g].sum() for g in (0, 2)]) for row in dealt
    ]  # fmt: skip
    assert np.allclose(spreads_of_patients(dealt, hits, trials, np.array([True, False, True])), by_hand)


def test_a_patient_in_two_groups_counts_in_each_and_belongs_to_the_class_of_most_of_its_images():
    units = Units.of(np.array([0, 0, 1, 1, 1]), np.array([7, 7, 7, 2, 2]), np.array([1, 1, 0, 2, 2]), classes=3)
    assert units.group.tolist() == [1, 0, 1] and units.main_class.tolist() == [2, 1, 0]
    assert units.of_image.tolist() == [1, 1, 2, 0, 0]


def test_many_patients_are_worth_what_their_spread_says_and_nothing_is_dealt_one_by_one(monkeypatch):
    monkeypatch.setattr("vitrail.measures.fairness_rates.MOST_DEALT", 10)
    group, labels, predicted, patient = of_patients(0)
    monkeypatch.setattr("vitrail.measures.fairness_rates.dealt_groups", None)
    scaled = fairness_of(group, labels, predicted, compared(), patients=patient).accuracy.chance
    once = fairness_of(group[::10], labels[::10], predicted[::10], compared()).accuracy.chance
    assert scaled.expected == pytest.approx(once.expected, rel=0.1)


def test_counting_in_pieces_is_counting_at_once_and_what_has_no_group_is_not_counted(monkeypatch):
    random = np.random.default_rng(0)
    group, labels, predicted = random.integers(-2, 4, 1000), *random.integers(0, 3, (2, 1000))
    by_hand = np.zeros((4, 3, 3), int)
    kept = group >= 0
    np.add.at(by_hand, (group[kept], labels[kept], predicted[kept]), 1)
    assert np.array_equal(contingency_table(group, labels, predicted, groups=4, classes=3), by_hand)
    monkeypatch.setattr("vitrail.measures.fairness_counts.PIECE", 7)
    assert np.array_equal(contingency_table(group, labels, predicted, groups=4, classes=3), by_hand)


def test_the_order_of_images_says_nothing():
    group, labels, predicted = fair_draw(5)
    order = np.random.default_rng(1).permutation(len(group))
    assert fairness_of(group, labels, predicted, compared()) == fairness_of(
        group[order], labels[order], predicted[order], compared()
    )


def test_p_values_account_for_all_tests_that_are_decided_together():
    alone: Fairness = fairness_of(*fair_draw(0, (150, 150), gap=0.18), compared())
    many = [alone, *(fairness_of(*fair_draw(seed), compared()) for seed in range(1, 12))]
    together = decided_together(many, fair_below=0.1)[0]
    assert together.accuracy.p_value > alone.accuracy.p_value
    assert holm([0.01, 0.02, 0.5]) == [0.03, 0.04, 0.5] and holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]


def test_one_answer_for_all_is_alike_in_every_group_and_its_ratio_is_undefined_where_it_is_never_said():
    group, labels, _ = fair_draw(0, (200, 200))
    (yes,) = fairness_of(group, labels, np.zeros(400, int), compared()).classes
    assert yes.positive_rate.difference.value == 0 and yes.positive_rate.verdict == "fair"
    assert yes.positive_rate.ratio.undefined_because == "the rate is 0 in every group"
    assert yes.positive_rate.chance.p_value == 1.0
