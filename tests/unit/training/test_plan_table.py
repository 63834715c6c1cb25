from vitrail.training.plan import TrainingPlan
from vitrail.training.plan_table import plan_lines, tell_plan
from vitrail.training.precision import FLOAT32


def row(name: str, *, cached: str | None, seconds: float) -> dict:
    return {
        "name": name, "epochs": 5, "steps": 1234, "trains": "classifier", "trainable_parameters": 5_000,
        "learning_rate": 0.001, "image_size": "32 × 32", "cached": cached, "estimated_seconds": seconds,
    }  # fmt: skip


def plan(*remarks: str) -> TrainingPlan:
    return TrainingPlan((), FLOAT32, "float32", None, 16, remarks)


def test_the_table_says_what_is_cached_and_what_it_rests_on():
    rows = [row("head", cached="2 views", seconds=12), row("all", cached=None, seconds=700)]
    assert plan_lines(rows, plan()) == [
        "plan     stage  epochs  steps  trains      parameters  learning rate  cached   about",
        "         head   5       1,234  classifier  5,000       0.001          2 views  12 s",
        "         all    5       1,234  classifier  5,000       0.001          -        11 min 40 s",
        "         32 × 32 pixels, 16 images per step, float32",
    ]


def test_no_stages_are_the_probe_alone():
    assert plan_lines([], plan()) == ["plan     the probe alone"]


def test_training_that_is_left_out_altogether_is_said_and_a_probe_that_was_asked_for_is_not():
    told = []
    tell_plan([], plan("10 s do not suffice for one epoch of stage all: it is left out"), told.append)
    assert [event.text for event in told] == [
        "plan     the probe alone", "warning  10 s do not suffice for one epoch of stage all: it is left out",
    ]  # fmt: skip
    told.clear()
    tell_plan([], plan(), told.append)
    assert not told


def test_what_was_left_out_and_what_takes_over_an_hour_is_a_warning():
    told = []
    tell_plan(
        [row("all", cached=None, seconds=3000), row("top", cached=None, seconds=900)], plan("no cache"), told.append
    )
    assert [(event.text, event.level) for event in told if event.level == "warning"] == [
        ("warning  no cache", "warning"),
        ("warning  about 1 h 5 min in all; --time 20m fits it, --preset quick is the probe alone", "warning"),
    ]
    told.clear()
    tell_plan([row("all", cached=None, seconds=3500)], plan(), told.append)
    assert not [event for event in told if event.level == "warning"]
