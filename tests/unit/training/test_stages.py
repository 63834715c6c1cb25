import pytest
import timm

from tests.unit.training.small_job import tiny_vit
from vitrail.basics.errors import InputError, SettingsError
from vitrail.models.chain import Chain
from vitrail.training.settings import TrainingSettings
from vitrail.training.stages import Stage, default_epochs, planned_stages

CHAIN = Chain(tiny_vit(depth=6))
POOLED = CHAIN.pooled


def planned(images: int = 500, **settings) -> tuple[Stage, ...]:
    return planned_stages(TrainingSettings.parse(**settings), CHAIN, images=images)


def refusal(**settings) -> str:
    with pytest.raises(SettingsError) as caught:
        TrainingSettings.parse(**settings)
    return str(caught.value).partition("\nhint: ")[0]


@pytest.mark.parametrize(("text", "stages"), [
    ("head,top,all", ("head", "top", "all")), (" head , all ", ("head", "all")), ("top", ("top",)),
    ("probe", ()), ("", ()), (["head", "top"], ("head", "top")), (None, None),
])  # fmt: skip
def test_stages_are_read_from_text_and_lists(text, stages):
    assert TrainingSettings.parse(stages=text).stages == stages


def test_stages_in_another_order_twice_or_unknown_are_refused():
    order = "stages go from head to top to all, each once"
    for text in ("top,head", "head,head", "all,head,top"):
        assert refusal(stages=text) == f"a setting is wrong:\n  - stages: {order}, got {text!r}"
    for text, unknown in (("heads", "heads"), ("head,probe", "probe"), ("head,,all", "")):
        why = f"{unknown!r} is no stage; stages are head, top and all, or probe alone"
        assert refusal(stages=text) == f"a setting is wrong:\n  - stages: {why}, got {text!r}"


@pytest.mark.parametrize(("text", "seconds"), [
    ("20m", 1200), ("1h30m", 5400), ("90", 90), ("90s", 90), ("1.5h", 5400), ("1 h 5 s", 3605), (45, 45), (None, None),
])  # fmt: skip
def test_times_are_read_in_hours_minutes_and_seconds(text, seconds):
    assert TrainingSettings.parse(time=text).time == seconds


@pytest.mark.parametrize("text", ["soon", "20x", "-5m", "1:30", "", "m20", "1e3", "1h30"])
def test_other_times_are_refused(text):
    why = "a time such as 90s, 20m or 1h30m was expected"
    assert refusal(time=text) == f"a setting is wrong:\n  - time: {why}, got {text!r}"


def test_no_time_at_all_is_refused():
    assert refusal(time="0m") == "a setting is wrong:\n  - time: Input should be greater than 0, got 0.0"


def test_zero_epochs_are_refused():
    for name in ("head_epochs", "top_epochs", "all_epochs"):
        fault = f"{name}: Input should be greater than or equal to 1, got 0"
        assert refusal(**{name: 0}) == f"a setting is wrong:\n  - {fault}"


def test_more_unfrozen_blocks_than_there_are_is_an_error_with_a_way_out():
    with pytest.raises(InputError) as caught:
        planned(stages="top", unfreeze=7)
    assert str(caught.value) == (
        "7 blocks were to be unfrozen, the model has 6\n"
        "hint: --set unfreeze=1, or --stages all for the whole network"
    )  # fmt: skip
    assert planned(stages="top", unfreeze=6)[0].cut == 1, "all blocks, but not the stem"


def test_a_model_without_a_top_stage_may_have_fewer_blocks_than_would_be_unfrozen():
    assert [stage.name for stage in planned(stages="head,all", unfreeze=7)] == ["head", "all"]


@pytest.mark.parametrize(("preset", "images", "epochs"), [
    ("quick", 500, {}),
    ("standard", 199, {"top": 5}),
    ("standard", 200, {"all": 5}),
    ("standard", 2_999, {"all": 5}),
    ("standard", 3_000, {"all": 4}),
    ("standard", 30_000, {"all": 3}),
    ("thorough", 100, {"head": 10, "top": 5, "all": 15}),
    ("thorough", 30_000, {"head": 10, "top": 5, "all": 9}),
])  # fmt: skip
def test_defaults_follow_the_preset_and_the_number_of_images(preset, images, epochs):
    assert default_epochs(preset, images) == epochs
    assert {stage.name: stage.epochs for stage in planned(images, preset=preset)} == epochs


def test_a_factor_makes_the_defaults_longer_and_leaves_numbers_that_were_asked_for():
    (stage,) = planned(stages="all", epochs_factor=2.5)
    assert stage.epochs == 12
    (stage,) = planned(stages="all", epochs_factor=2.5, all_epochs=7)
    assert stage.epochs == 7
    (stage,) = planned(stages="all", epochs_factor=0.01)
    assert stage.epochs == 1


def test_a_stage_that_the_preset_leaves_out_can_be_asked_for():
    def epochs(**settings):
        return {stage.name: stage.epochs for stage in planned(**settings)}

    assert epochs(stages="head,all", all_epochs=2) == {"head": 10, "all": 2}
    assert epochs(preset="quick", stages="head,top,all") == {"head": 10, "top": 5, "all": 5}
    assert epochs(preset="thorough", stages="top") == {"top": 5}
    assert epochs(stages="probe") == {}


def test_cuts_stand_before_the_classifier_before_the_last_blocks_and_before_everything():
    cuts = {stage.name: (stage.cut, stage.blocks) for stage in planned(stages="head,top,all", unfreeze=2)}
    assert cuts == {"head": (POOLED, 0), "top": (CHAIN.order.index("block 5"), 2), "all": (0, 0)}


def test_learning_rates_follow_the_optimiser_unless_asked_for():
    def peaks(**settings):
        return [stage.learning_rate for stage in planned(stages="head,top,all", **settings)]

    assert peaks() == [1e-3, 5e-4, 5e-4]
    assert peaks(optimizer="sgd") == [1e-1, 5e-2, 5e-2]
    assert peaks(learning_rate=0.5) == [1e-3, 0.5, 0.5]
    assert peaks(head_learning_rate=0.5) == [0.5, 5e-4, 5e-4]


def stage_of(blocks: int, epochs: int) -> Stage:
    return Stage("top", epochs, 1e-4, 10 - blocks, blocks, None, cached=False)


@pytest.mark.parametrize(("blocks", "epochs", "places"), [
    (3, 12, [9, 9, 8, 8, 7, 7, 7, 7, 7, 7, 7, 7]),  # released before epochs 0, 2 and 4: half of the stage is 6
    (2, 8, [9, 9, 8, 8, 8, 8, 8, 8]),
    (4, 8, [9, 8, 7, 6, 6, 6, 6, 6]),
    (3, 10, [9, 8, 7, 7, 7, 7, 7, 7, 7, 7]),  # half of the stage is 5: no room for a pause of two epochs
    (3, 5, [9, 8, 7, 7, 7]),
    (3, 3, [9, 8, 7]),  # one at a time, however short the stage
    (3, 2, [8, 7]),
    (3, 1, [7]),
    (1, 4, [9, 9, 9, 9]),
])  # fmt: skip
def test_blocks_are_released_from_the_last_one_down_over_the_first_half(blocks, epochs, places):
    stage = stage_of(blocks, epochs)
    assert [stage.trained_from(epoch) for epoch in range(epochs)] == places
    assert places[-1] == stage.cut


def test_without_blocks_to_release_all_behind_the_cut_is_trained_at_once():
    assert {stage.trained_from(epoch) for stage in planned(stages="head,all") for epoch in range(3)} == {POOLED, 0}


def test_there_is_a_view_for_every_two_epochs_of_the_shortest_stage_with_frozen_layers_and_four_at_most():
    def views(**settings):
        return {stage.name: stage.views for stage in planned(**settings)}

    assert views(preset="standard") == {"all": None}
    assert views(preset="thorough") == {"head": 3, "top": 3, "all": None}
    assert views(stages="head,top", head_epochs=4, top_epochs=5) == {"head": 2, "top": 2}
    assert views(stages="head", head_epochs=2) == {"head": 1}
    assert views(stages="head", head_epochs=100) == {"head": 4}
    assert views(stages="head,top", views=3) == {"head": 3, "top": 3}


def test_a_stage_is_cached_where_its_views_are_used_more_than_once():
    def cached(**settings):
        return {stage.name: (stage.cached, stage.views) for stage in planned(**settings)}

    assert cached() == {"all": (False, None)}
    assert cached(stages="head,top") == {"head": (True, 3), "top": (True, 3)}, "they share what is cached"
    assert cached(stages="head", head_epochs=1) == {"head": (False, None)}, "a new view for every epoch instead"
    assert cached(stages="head", head_epochs=1, cache="on") == {"head": (True, 1)}
    assert cached(stages="top,all", cache="off") == {"top": (False, None), "all": (False, None)}
    assert cached(stages="head", cache="off", views=3) == {"head": (False, 3)}, "fixed views can be asked for"
    assert cached(stages="head", head_epochs=3, views=3) == {"head": (False, 3)}
    assert cached(stages="head", head_epochs=4, views=3) == {"head": (True, 3)}


def test_a_model_that_cannot_be_cut_keeps_the_cache_of_its_head_and_goes_without_in_its_top_stage():
    chain = Chain(timm.create_model("test_efficientnet", num_classes=2))
    stages = planned_stages(TrainingSettings(preset="thorough"), chain, images=500)
    assert [(stage.name, stage.cached) for stage in stages] == [("head", True), ("top", False), ("all", False)]
    with pytest.raises(InputError, match=r"cannot be cut before its top blocks: the running order of EfficientNet"):
        planned_stages(TrainingSettings(cache="on", stages=("head", "top")), chain, images=500)
    head = planned_stages(TrainingSettings(cache="on", stages=("head",)), chain, images=500)
    assert [stage.cached for stage in head] == [True]


def test_a_cached_stage_cannot_change_its_size():
    with pytest.raises(InputError) as caught:
        Stage("top", 2, 1e-3, 4, 0, 2, cached=True, sizes=(128, 224))
    assert str(caught.value) == (
        "stage top is cached, and so at one size only; 2 sizes were asked for\nhint: --set cache=off"
    )


def test_two_ways_to_weigh_the_same_images_are_refused():
    with pytest.raises(InputError, match="class_weights is balanced and reweight_by sex: two ways to weigh"):
        TrainingSettings.parse(class_weights="balanced", reweight_by="sex")
