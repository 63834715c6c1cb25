import pickle

import pytest
from pydantic import field_validator, model_validator

from vitrail.basics.errors import (
    FindingsError,
    InputError,
    PackageError,
    SettingsError,
    SystemFault,
    TrainingFault,
    UnreadableImageError,
    nearest_names,
)
from vitrail.basics.settings import Settings
from vitrail.data.split import SplitSettings


class Loop(Settings):
    epochs: int = 5
    learning_rate: float = 1e-3


class Rates(Settings):
    rates: tuple[float, ...] = (1e-3,)
    """Learning rates of AdamW, one after
    the other. The best one is kept."""
    most: int | None = None
    """An even number."""
    least: int | None = None

    @field_validator("most")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("an even number was expected")
        return value

    @model_validator(mode="after")
    def _one(self) -> "Rates":
        if self.most and self.least:
            raise ValueError("either most or least was expected, not both")
        return self


class Place(Settings):
    name: str

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        raise InputError(f"{value} is nowhere", hint="look elsewhere")


class Whole(Settings):
    seed: int = 0
    loop: Loop


def test_every_misspelled_setting_is_named_with_its_nearest_names():
    with pytest.raises(SettingsError) as error:
        Loop.parse(epohcs=3, lerning_rate=0.1)
    assert str(error.value) == (
        "2 settings are wrong:\n"
        "  - unknown setting 'epohcs' - did you mean epochs?\n"
        "  - unknown setting 'lerning_rate' - did you mean learning_rate?\n"
        "hint: known settings: epochs, learning_rate"
    )


def test_gather_hands_each_name_to_the_part_that_owns_it():
    settings = Whole.gather(seed=3, epochs=7)
    assert (settings.seed, settings.loop.epochs, settings.loop.learning_rate) == (3, 7, 1e-3)


def test_gather_reports_faults_of_all_parts_together():
    with pytest.raises(SettingsError) as error:
        Whole.gather(sed=1, epochs="many")
    assert "unknown setting 'sed' - did you mean seed?" in error.value.message
    assert "epochs: Input should be a valid integer" in error.value.message
    assert "got 'many'" in error.value.message


@pytest.mark.parametrize(("values", "fault"), [
    ({"rates": ["fast"]}, "rates: Input should be a valid number, unable to parse string as a number, got 'fast'"),
    ({"most": 3}, "most: an even number was expected, got 3"),
    ({"most": 2, "least": 1}, "either most or least was expected, not both"),
])  # fmt: skip
def test_a_wrong_value_is_told_with_the_name_of_its_setting_and_what_it_means(values, fault):
    with pytest.raises(SettingsError) as error:
        Rates.parse(**values)
    meaning = Rates.meaning(next(iter(values))) if len(values) == 1 else None
    hint = f"\nhint: {meaning}" if meaning else ""
    assert str(error.value) == f"a setting is wrong:\n  - {fault}{hint}"


def test_the_hint_of_several_wrong_values_is_the_meaning_of_the_first():
    with pytest.raises(SettingsError) as error:
        Rates.parse(rates=["fast"], most=3)
    assert error.value.hint == "rates: Learning rates of AdamW, one after the other. The best one is kept."
    with pytest.raises(SettingsError) as error:
        Rates.parse(rates=["fast"], leest=3)
    assert error.value.hint == "known settings: least, most, rates"


def test_settings_cannot_be_changed_after_they_are_made():
    with pytest.raises(ValueError, match="frozen"):
        Loop.parse().epochs = 3


def test_an_error_that_crosses_a_process_border_keeps_its_hint_and_its_kind():
    error = pickle.loads(pickle.dumps(InputError("no images", hint="look elsewhere")))
    assert isinstance(error, InputError)
    assert (error.message, error.hint, str(error)) == (
        "no images",
        "look elsewhere",
        "no images\nhint: look elsewhere",
    )


def test_exit_codes_tell_findings_from_input():
    assert (FindingsError.exit_code, InputError.exit_code) == (1, 2)


def test_nearest_names_ignore_case_and_come_best_first():
    assert nearest_names("VIT_TINY", ["vit_tiny", "vit_tin", "resnet"]) == ["vit_tiny", "vit_tin"]


def test_what_is_wrong_with_an_argument_is_a_value_error_as_other_libraries_expect():
    for kind in (InputError, SettingsError, UnreadableImageError, PackageError):
        with pytest.raises(ValueError, match=r"^three eyes\nhint: two were expected$"):
            raise kind("three eyes", hint="two were expected")
    for kind in (FindingsError, TrainingFault, SystemFault):  # no argument is at fault there
        assert not issubclass(kind, ValueError)


def test_an_error_that_a_validator_raises_arrives_in_its_own_words():
    with pytest.raises(InputError) as error:
        Place.parse(name="there")
    assert str(error.value) == "there is nowhere\nhint: look elsewhere"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_setting_is_infinite_or_no_number(value):
    with pytest.raises(SettingsError, match="validation_fraction: Input should be a finite number"):
        SplitSettings.parse(validation_fraction=value)
