import dataclasses

import pytest
import timm

from tests.unit.training.small_job import tiny_vit
from vitrail.models.chain import Chain
from vitrail.training.costs import MOST_GROWTH, SAFETY, Costs, fitted_to_time
from vitrail.training.plan_table import learning_rate_rows, plan_rows
from vitrail.training.schedule import rate_at
from vitrail.training.settings import TrainingSettings
from vitrail.training.stages import Stage, planned_stages

COSTS = Costs(step_seconds=0.3, exact_seconds=0.1, groups=10)
"""A hundredth of a second for one image through one layer group, forward, in training and exactly."""

HEAD = Stage("head", 10, 1e-3, 10, 0, 2, cached=True)
TOP = Stage("top", 5, 1e-4, 4, 3, 2, cached=True)
ALL = Stage("all", 10, 1e-4, 0, 0, None, cached=False)
STAGES = (HEAD, TOP, ALL)
DATA = {"images": 100, "validation_images": 50}


@pytest.mark.parametrize(("stage", "seconds"), [
    # All layers forward and backward, 3 × 0.1 s each, and 50 exact forward passes of 0.1 s, ten times.
    (ALL, 10 * (100 * 0.3 + 50 * 0.1)),
    # Four groups forward and six with backward, for all ten of them in validation.
    (dataclasses.replace(TOP, cached=False), 5 * (100 * (0.04 + 0.18) + 50 * 0.1)),
    # The four groups once per view and validation image, then the six alone.
    (TOP, 100 * 2 * 0.04 + 50 * 0.04 + 5 * (100 * 0.18 + 50 * 0.06)),
    # A classifier costs nothing once its features are there.
    (HEAD, 100 * 2 * 0.1 + 50 * 0.1),
    (dataclasses.replace(HEAD, cut=11, views=1), 100 * 0.1 + 50 * 0.1),
])  # fmt: skip
def test_the_seconds_of_a_stage_are_those_worked_out_by_hand(stage, seconds):
    assert COSTS.stage_seconds(stage, **DATA) == pytest.approx(seconds)


def needed(stages: tuple[Stage, ...]) -> float:
    return SAFETY * sum(COSTS.stage_seconds(stage, **DATA) for stage in stages)


@pytest.mark.parametrize("seconds", [60.0, 100.0, 150.0, 200.0, 300.0, 500.0, 900.0, 5000.0])
def test_what_is_fitted_into_a_time_fits_and_fills_it(seconds):
    fitted = fitted_to_time(STAGES, COSTS, seconds=seconds, **DATA)
    assert needed(fitted) <= seconds
    assert all(stage.epochs >= 1 for stage in fitted)
    longest = all(stage.epochs == MOST_GROWTH * old.epochs for stage, old in zip(fitted, STAGES, strict=False))
    more = tuple(dataclasses.replace(stage, epochs=stage.epochs + 1 + stage.epochs // 9) for stage in fitted)
    assert longest or needed(more) > seconds


def test_epochs_keep_their_proportions_and_nothing_else_changes():
    fitted = fitted_to_time(STAGES, COSTS, seconds=needed(STAGES), **DATA)
    assert [stage.epochs for stage in fitted] == pytest.approx([10, 5, 10], abs=1)
    halved = fitted_to_time(STAGES, COSTS, seconds=needed(STAGES) / 2, **DATA)
    assert halved[0].epochs == pytest.approx(2 * halved[1].epochs, abs=1)
    restored = [dataclasses.replace(new, epochs=old.epochs) for new, old in zip(halved, STAGES, strict=True)]
    assert restored == [*STAGES]


def test_plenty_of_time_makes_stages_three_times_as_long_and_no_longer():
    fitted = fitted_to_time(STAGES, COSTS, seconds=1e9, **DATA)
    assert [stage.epochs for stage in fitted] == [30, 15, 30]


def test_stages_that_cannot_have_one_epoch_are_left_out_the_last_one_first():
    once = tuple(dataclasses.replace(stage, epochs=1) for stage in STAGES)
    for count in (3, 2, 1):
        just = needed(once[:count])
        assert len(fitted_to_time(STAGES, COSTS, seconds=1.001 * just, **DATA)) == count
        assert len(fitted_to_time(STAGES, COSTS, seconds=0.999 * just, **DATA)) == count - 1


def test_no_time_and_no_stages_give_an_empty_plan():
    assert fitted_to_time(STAGES, COSTS, seconds=1e-6, **DATA) == ()
    assert fitted_to_time((), COSTS, seconds=60.0, **DATA) == ()


def test_learning_rates_of_every_layer_at_every_step_are_those_worked_out_by_hand():
    chain = Chain(tiny_vit())  # stem, three blocks, norm, head
    settings = TrainingSettings(layer_decay=0.5, warmup_fraction=0.5, floor_fraction=0.1)
    top = Stage("top", 4, 0.8, chain.order.index("block 2"), 2, None, cached=False)
    rows = learning_rate_rows([top], chain, settings, steps_per_epoch=1)
    assert [(row["stage"], row["step"], row["epoch"]) for row in rows] == [("top", n, n) for n in (1, 2, 3, 4)]
    assert [row["rates"]["head"] for row in rows] == pytest.approx([0.4, 0.8, 0.8, 0.08])
    assert [row["rates"]["norm"] for row in rows] == pytest.approx([0.2, 0.4, 0.4, 0.04])
    assert [row["rates"]["block 3"] for row in rows] == pytest.approx([0.1, 0.2, 0.2, 0.02])
    assert [row["rates"]["block 2"] for row in rows] == pytest.approx([0.0, 0.1, 0.1, 0.01]), "released in epoch 2"
    assert all(row["rates"][name] == 0 for row in rows for name in ("block 1", "stem"))


def test_every_stage_begins_its_schedule_anew_and_the_head_stage_trains_the_head_alone():
    chain, settings = Chain(tiny_vit()), TrainingSettings(stages=("head", "all"), head_epochs=2, all_epochs=1)
    stages = planned_stages(settings, chain, images=10)
    rows = learning_rate_rows(stages, chain, settings, steps_per_epoch=3)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6, 1, 2, 3]
    assert [row["epoch"] for row in rows] == [1, 1, 1, 2, 2, 2, 1, 1, 1]
    for row in rows[:6]:
        share = rate_at(row["step"] - 1, 6, 0.1, floor_fraction=0.01)
        assert row["rates"]["head"] == pytest.approx(1e-3 * share)
        assert not any(rate for name, rate in row["rates"].items() if name != "head")
    assert rows[6]["rates"]["stem"] == pytest.approx(5e-4 * 0.75**5)


def test_a_frozen_norm_inside_the_head_does_not_hide_the_classifiers_rate():
    model = timm.create_model("vit_tiny_patch16_224", img_size=16, patch_size=8, embed_dim=24, depth=2, num_heads=2,
                              global_pool="avg", num_classes=2)  # fmt: skip
    chain = Chain(model)
    assert "fc_norm.weight" in chain.order.groups[-1].parameters
    stages = planned_stages(TrainingSettings(stages=("head",)), chain, images=10)
    rows = learning_rate_rows(stages, chain, TrainingSettings(warmup_fraction=0), steps_per_epoch=1)
    assert rows[0]["rates"]["head"] == 1e-3


def test_the_table_says_what_every_stage_trains():
    chain = Chain(tiny_vit(depth=4))
    stages = planned_stages(TrainingSettings(preset="thorough", unfreeze=2), chain, images=500)
    rows = plan_rows(stages, chain, None, images_per_step=32, image_size="16 × 16", images=500, validation_images=9)
    sizes = {name: parameter.numel() for name, parameter in chain.model.named_parameters()}
    top = sum(size for name, size in sizes.items() if name.startswith(("blocks.2", "blocks.3", "norm", "head")))
    assert [row["name"] for row in rows] == ["head", "top", "all"]
    assert [row["epochs"] for row in rows] == [10, 5, 15]
    assert [row["steps"] for row in rows] == [160, 80, 240], "500 images are 16 steps, the last one of 20"
    assert [row["trains"] for row in rows] == ["classifier", "block 4 down to 3, norm, head", "everything"]
    assert [row["trainable_parameters"] for row in rows] == [24 * 2 + 2, top, sum(sizes.values())]
    assert [row["learning_rate"] for row in rows] == [1e-3, 5e-4, 5e-4]
    assert [row["cached"] for row in rows] == ["3 views, pooled features", "3 views, before block 3", ""]
    assert {row["image_size"] for row in rows} == {"16 × 16"}
    assert {row["estimated_seconds"] for row in rows} == {None}


def test_the_table_estimates_the_seconds_of_every_stage():
    chain = Chain(tiny_vit(depth=4))
    stages = planned_stages(TrainingSettings(stages=("head", "top"), unfreeze=1, views=1), chain, images=500)
    costs = Costs(0.003, 0.002, len(chain.order.groups))
    rows = plan_rows(stages, chain, costs, images_per_step=32, image_size="", images=500, validation_images=100)
    expected = [round(costs.stage_seconds(stage, images=500, validation_images=100), 1) for stage in stages]
    assert [row["estimated_seconds"] for row in rows] == expected
    assert rows[1]["trains"] == "block 4, norm, head" and rows[0]["cached"] == "1 view, pooled features"
