import hashlib

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.unit.models.folders import SMALL, random_model, timm_folder
from vitrail.basics.errors import InputError, SettingsError
from vitrail.basics.events import nobody
from vitrail.basics.finished_work import work_key
from vitrail.data import columns
from vitrail.data.training_subsets import divided_for_rates, drawn_training_rows, few_of_every_class
from vitrail.evaluation.study_figures import gain_over_seeds
from vitrail.measures.paired import compare_losses
from vitrail.measures.ranking import auc_pseudo_values
from vitrail.models.beginnings import MIMETIC, SCRATCH, beginning_of
from vitrail.models.sources import STARTER
from vitrail.workflows.study.data_sets import named_data_sets
from vitrail.workflows.study.starter import gain_words, study_starter, summarised
from vitrail.workflows.study.starter_settings import StarterStudySettings


def table(**counts: int):
    """An image table with so many training images of every class, and one validation image of each."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    names = [*(f"{index}.png" for index in range(len(labels))), *(f"{label}-val.png" for label in counts)]
    splits = ["train"] * len(labels) + ["val"] * len(counts)
    return columns.rows(path=names, label=[*labels, *counts], split=splits)


def counted(rows) -> dict[str, int]:
    labels = rows["label"].to_pylist()
    return {label: labels.count(label) for label in dict.fromkeys(sorted(labels))}


def test_few_training_images_keep_every_class_and_the_proportions():
    rows = table(a=60, b=30, c=10)
    assert counted(drawn_training_rows(rows, seed=0)) == {"a": 60, "b": 30, "c": 10}
    assert counted(drawn_training_rows(rows, count=50, seed=0)) == {"a": 30, "b": 15, "c": 5}
    assert counted(drawn_training_rows(rows, count=3, seed=0)) == {"a": 1, "b": 1, "c": 1}
    assert counted(drawn_training_rows(rows, per_class=20, seed=0)) == {"a": 20, "b": 20, "c": 10}


def test_every_seed_draws_its_own_few_images_and_the_same_ones_again():
    rows = table(a=60, b=30)
    one, again, other = (drawn_training_rows(rows, count=20, seed=seed)["path"].to_pylist() for seed in (0, 0, 1))
    assert one == again != other


@pytest.mark.parametrize("count", [1 + 1, 101])
def test_more_images_than_there_are_or_fewer_than_classes_are_refused(count):
    with pytest.raises(InputError) as caught:
        drawn_training_rows(table(a=60, b=30, c=10), count=count, seed=0)
    assert str(caught.value) == (
        f"{count} training images were asked for; there are 100 of 3 classes\nhint: --train 50, or leave it out"
    )


def test_few_labels_are_asked_for_in_one_way_only():
    with pytest.raises(SettingsError, match="either train or labels_per_class was expected, not both"):
        StarterStudySettings.parse(train=10, labels_per_class=2)


def test_a_rate_is_chosen_on_a_fifth_of_every_class_that_it_was_not_trained_on():
    training, choosing = divided_for_rates(drawn_training_rows(table(a=50, b=10), seed=0))
    assert counted(training) == {"a": 40, "b": 8} and counted(choosing) == {"a": 10, "b": 2}
    assert not set(training["path"].to_pylist()) & set(choosing["path"].to_pylist())


def test_few_images_of_every_class_train_others_judge_and_the_rest_is_left_out():
    rows = few_of_every_class(table(a=50, b=20, c=4), train=10, val=5, seed=0)
    train, val = (rows.filter([split == wanted for split in rows["split"].to_pylist()]) for wanted in ("train", "val"))
    assert counted(train) == {"a": 10, "b": 10, "c": 5} and counted(val) == {"a": 5, "b": 5}
    assert len(set(rows["path"].to_pylist())) == rows.num_rows
    assert rows.equals(few_of_every_class(table(a=50, b=20, c=4), train=10, val=5, seed=0))


def beginning(arm, weights=STARTER, *, seed=0, **options):
    return beginning_of(arm, weights, image_size=32, classes=3, seed=seed, **options)


def test_arms_share_the_network_and_differ_in_what_they_begin_with():
    models = {arm: beginning(arm).model.state_dict() for arm in (STARTER, MIMETIC, SCRATCH)}
    assert len({tuple((name, tuple(t.shape)) for name, t in state.items()) for state in models.values()}) == 1
    for one, other in ((STARTER, MIMETIC), (STARTER, SCRATCH), (MIMETIC, SCRATCH)):
        assert not np.allclose(models[one]["pos_embed"], models[other]["pos_embed"])
        assert not np.allclose(models[one]["blocks.0.attn.qkv.weight"], models[other]["blocks.0.attn.qkv.weight"])
    again, other = (beginning(SCRATCH, seed=seed).model.state_dict() for seed in (0, 1))
    assert np.array_equal(again["pos_embed"], models[SCRATCH]["pos_embed"])
    assert not np.array_equal(other["pos_embed"], models[SCRATCH]["pos_embed"])


def test_a_network_that_is_no_plain_vit_is_refused(tmp_path):
    folder = timm_folder(tmp_path / "net", random_model("resnet18"))
    with pytest.raises(InputError) as caught:
        beginning(MIMETIC, str(folder))
    assert str(caught.value) == (
        f"{folder} is ResNet, a plain ViT was expected\nhint: leave --model out to study starter"
    )
    vit = timm_folder(tmp_path / "vit", random_model("vit_tiny_patch16_224", **SMALL), **SMALL)
    assert beginning_of(MIMETIC, str(vit), image_size=48, classes=3, seed=0).model.num_classes == 3


def seed_of(ids, figure="accuracy", groups=None, **answers):
    """What `judged_arms` keeps of a seed."""
    by_image = {arm: {figure: values} for arm, values in answers.items()}
    return {"ids": ids, "groups": groups or [None] * len(ids), "by_image": by_image}


def test_a_gain_is_the_mean_over_seeds_and_counts_every_image_once():
    results = [
        seed_of(["x", "y"], starter=[True, True], scratch=[False, True]),
        seed_of(["y", "z"], starter=[True, False], scratch=[False, False]),
        seed_of(["y"], starter=[True], scratch=[True]),
    ]
    gain = gain_over_seeds(results, "starter", "scratch")
    assert gain.difference.value == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert gain.n == 3


def test_a_gain_on_the_same_images_is_every_images_mean_over_the_seeds():
    ids = [f"{number}.png" for number in range(6)]
    mine, other = np.random.default_rng(0).integers(0, 2, (2, 3, 6)).astype(bool).tolist()
    results = [seed_of(ids, starter=a, scratch=b) for a, b in zip(mine, other, strict=True)]
    expected = compare_losses(1 - np.mean(other, axis=0), 1 - np.mean(mine, axis=0))
    gain = gain_over_seeds(results, "starter", "scratch")
    assert (gain.p_value, gain.decision, gain.n) == (expected.p_value, expected.decision, 6)
    found, wanted = gain.difference, expected.difference
    assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high))


def test_images_that_both_ways_answer_alike_are_ties_whatever_their_sums_round_to():
    ids = [f"{number}.png" for number in range(21)]
    mine, other = [True] * 21, [False] * 2 + [True] * 19
    gain = gain_over_seeds([seed_of(ids, starter=mine, scratch=other)] * 3, "starter", "scratch")
    assert (gain.p_value, gain.method) == (0.5, "exact sign-flip test over images")


def test_a_summary_counts_seeds_won_and_every_judged_image_once():
    def figures(accuracy, auc):
        return {"accuracy": {"value": accuracy}, "auc": {"value": auc}}

    def result(ids, starter, scratch):
        by_image = {arm: {"accuracy": [True] * 2, "auc": [0.5] * 2} for arm in ("starter", "scratch")}
        return {"measured_on": "val", "ids": ids, "groups": [None] * 2, "by_image": by_image,
                "figures": {"starter": figures(*starter), "scratch": figures(*scratch)}}  # fmt: skip

    results = [result(["a", "b"], (0.9, 0.8), (0.8, 0.9)), result(["b", "c"], (0.7, 0.8), (0.6, 0.7)),
               result(["d", "a"], (0.5, 0.6), (0.5, 0.9))]  # fmt: skip
    found = summarised(results, ("starter", "scratch"), {}, 10)
    gains = found["gains"]["scratch"]
    assert (gains["accuracy"]["seeds_won"], gains["auc"]["seeds_won"]) == (2, 1)
    assert (found["training_images"], found["judged_images"]) == (10, 4)
    results[0]["figures"]["scratch"]["auc"]["value"] = None
    assert summarised(results, ("starter", "scratch"), {}, 10)["gains"]["scratch"]["auc"] is None


def test_images_of_a_group_are_drawn_together():
    results = [seed_of(list("abcd"), groups=["p", "p", None, "q"], starter=[1, 1, 1, 0], scratch=[0, 0, 1, 0])]
    gain = gain_over_seeds(results, "starter", "scratch")
    assert (gain.groups, gain.n) == (3, 4)
    assert (
        gain.p_value == 1.0
        and gain_over_seeds([{**results[0], "groups": [None] * 4}], "starter", "scratch").p_value == 0.5
    )


def test_a_gain_in_auc_is_the_difference_of_the_aucs_and_delongs_test_agrees():
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, 400)
    scores = labels + random.normal(0, 1.0, 400)
    worse = labels + random.normal(0, 2.0, 400)
    parts = {
        arm: auc_pseudo_values(labels, np.stack([-values, values], axis=1)).tolist()
        for arm, values in (("starter", scores), ("scratch", worse))
    }
    gain = gain_over_seeds([seed_of([str(n) for n in range(400)], "auc", **parts)], "starter", "scratch", "auc")
    assert gain.difference.value == pytest.approx(roc_auc_score(labels, scores) - roc_auc_score(labels, worse))
    # DeLong's variance of a difference, from the two models' structural components.
    differences = np.subtract(parts["starter"], parts["scratch"])
    placed = [differences[labels == one] * (labels == one).mean() for one in (0, 1)]
    deviation = np.sqrt(sum(values.var(ddof=1) / len(values) for values in placed))
    assert (gain.difference.high - gain.difference.low) / 2 / 1.96 == pytest.approx(deviation, rel=0.1)


def test_two_data_sets_of_one_name_are_refused():
    assert named_data_sets(["a/photos", "b/scans.csv"]) == {"photos": "a/photos", "scans": "b/scans.csv"}
    with pytest.raises(InputError) as caught:
        named_data_sets(["a/photos", "b/photos"])
    assert str(caught.value) == (
        "two data sets of the study are called 'photos'; the second is b/photos\n"
        "hint: study them one after the other, each with its own --out"
    )


def test_a_refused_study_leaves_no_trace(tmp_path):
    for data, settings in ((tmp_path / "nowhere", {}), ("digits", {"train": 5, "image_size": 8})):
        with pytest.raises(InputError):
            study_starter([str(data)], StarterStudySettings(**settings), out=tmp_path / "study", workers=0, command="",
                          emit=nobody)  # fmt: skip
        assert not (tmp_path / "study").exists()


def test_a_key_changes_with_any_fact():
    assert work_key({"a": 1, "b": 2}, ["x"]) == work_key({"b": 2, "a": 1}, ["x"])
    assert work_key("x") != hashlib.sha256(b'["x"]').hexdigest()[:12], "what a run holds is one of its facts"
    assert len({work_key(*facts) for facts in ([1, 2], [1], [2, 1], [{"a": 1}], [{"a": 2}])}) == 5


@pytest.mark.parametrize(("figure", "low", "told"), [
    ("accuracy", 0.011, "accuracy +2.4 points (+1.1 to +5.0), p = 0.012, better; ahead in 4 of 5 seeds"),
    ("accuracy", None, "accuracy +2.4 points, p = 0.012, better; ahead in 4 of 5 seeds"),
    ("auc", 0.011, "AUC +0.024 (+0.011 to +0.050), p = 0.012, better; ahead in 4 of 5 seeds"),
])  # fmt: skip
def test_a_gain_is_told_in_its_own_unit(figure, low, told):
    difference = {"value": 0.024, "low": low, "high": 0.05}
    gain = {"difference": difference, "p_value": 0.0123, "decision": "better", "seeds_won": 4}
    assert gain_words(figure, gain, seeds=5) == told
