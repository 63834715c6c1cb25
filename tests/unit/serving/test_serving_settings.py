import pytest

from vitrail.basics.errors import InputError, SettingsError
from vitrail.serving.settings import ServingSettings


def test_every_setting_is_reached_by_its_own_name():
    chosen = ServingSettings.gather(port=0, most_images=4, most_batch_images=8, failures_to_open=2, memory_gb=1.5)
    assert (chosen.port, chosen.limits.most_images, chosen.batches.most_batch_images) == (0, 4, 8)
    assert (chosen.breakers.failures_to_open, chosen.process.memory_gb) == (2, 1.5)


def test_no_name_is_that_of_two_parts():
    names = ServingSettings.names()
    assert len(names) == len(set(names))


def test_every_setting_has_a_sentence():
    assert not [name for name in ServingSettings.names() if ServingSettings.meaning(name) is None]


def bounds(field):
    return {kind for each in field.metadata for kind in ("ge", "gt", "le", "lt") if hasattr(each, kind)}


def test_every_number_has_bounds():
    kinds = [ServingSettings, *ServingSettings.parts().values()]
    numbers = [
        (name, field)
        for kind in kinds
        for name, field in kind.model_fields.items()
        if field.annotation in (int, float, float | None)
    ]
    assert len(numbers) > 20
    assert not [name for name, field in numbers if len(bounds(field)) < 2]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"model_seconds": 16.0}, "model_seconds is 16, deadline_seconds is 15"),
        ({"probe_seconds": 9.0}, "model_seconds is 10, probe_seconds is 9"),
        ({"open_seconds": 61.0}, "open_seconds is 61, most_open_seconds is 60"),
        ({"restart_seconds": 61.0}, "restart_seconds is 61, most_restart_seconds is 60"),
        ({"most_images": 257}, "most_images is 257, most_waiting is 256"),
        ({"most_body_bytes": 10**9}, "most_body_bytes is 1,000,000,000, most_waiting_bytes is 256,000,000"),
    ],
)
def test_limits_that_could_not_be_reached_are_refused(values, text):
    with pytest.raises(InputError) as refused:
        ServingSettings.gather(**values)
    name, _, _, other, *_ = text.replace(",", "").split()
    assert str(refused.value) == f"{text}\nhint: {name} must not be larger than {other}"


def test_a_format_that_is_never_opened_is_refused():
    with pytest.raises(SettingsError, match="'JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF' or 'DICOM', got 'EPS'"):
        ServingSettings.gather(formats=["JPEG", "EPS"])


def test_a_misspelled_name_is_answered_with_the_right_one():
    with pytest.raises(SettingsError, match="unknown setting 'most_image' - did you mean most_images"):
        ServingSettings.gather(most_image=3)
