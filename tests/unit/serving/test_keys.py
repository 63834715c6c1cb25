"""Keys: who may do what, taken back at once, and never told."""

import base64
import os
from pathlib import Path

import pytest

from vitrail.basics.errors import InputError
from vitrail.serving.keys import Keys
from vitrail.serving.refusals import Refusal

PREDICT, ADMIN = "p" * 20, "a" * 20


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"anybody:{key}".encode()).decode()}


def file_of(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "keys"
    file.write_text(text)
    file.chmod(mode)
    return file


def may(keys: Keys, right: str, headers: dict[str, str]) -> bool:
    try:
        keys.refuse_stranger(right, headers)  # type: ignore[arg-type]
    except Refusal as refusal:
        assert refusal.status == 401 and not any(key in str(refusal) for key in (PREDICT, ADMIN))
        return False
    return True


def test_whoever_administers_may_predict_and_not_the_other_way_round(tmp_path: Path) -> None:
    keys = Keys(file_of(tmp_path, PREDICT + "\n"), None, {"VITRAIL_ADMIN_KEY": ADMIN})
    for headers in (bearer, basic, lambda key: {"x-api-key": key}):
        assert may(keys, "predict", headers(PREDICT)) and may(keys, "predict", headers(ADMIN))
        assert may(keys, "administer", headers(ADMIN)) and not may(keys, "administer", headers(PREDICT))


@pytest.mark.parametrize(
    "headers",
    [
        {}, bearer(""), bearer(PREDICT[:-1]), bearer(PREDICT + "x"), bearer("é" * 20), {"authorization": "Bearer"},
        {"authorization": "Basic !!!"}, {"authorization": "Basic " + base64.b64encode(b"\xff").decode()},
        {"authorization": PREDICT}, {"authorization": f"Digest {PREDICT}"}, {"x-api-key": ""},
    ],
)  # fmt: skip
def test_without_the_key_nobody_gets_in(headers: dict[str, str]) -> None:
    keys = Keys(None, None, {"VITRAIL_PREDICT_KEY": PREDICT})
    assert not may(keys, "predict", headers)
    assert may(keys, "administer", headers)  # for which no key was set


def test_a_key_that_is_taken_out_of_the_file_opens_nothing_from_then_on(tmp_path: Path) -> None:
    file = file_of(tmp_path, f"{PREDICT}\n{'q' * 20}\n")
    keys = Keys(file, None, {})
    assert may(keys, "predict", bearer(PREDICT))
    file.write_text("q" * 20)
    assert not may(keys, "predict", bearer(PREDICT)) and may(keys, "predict", bearer("q" * 20))
    file.unlink()  # by mistake, or while it is written anew: nothing changes
    assert not may(keys, "predict", bearer(PREDICT)) and may(keys, "predict", bearer("q" * 20))


def test_keys_that_can_be_guessed_or_read_by_everybody_are_refused(tmp_path: Path) -> None:
    for text, mode, told in (
        ("short\n", 0o600, "a key in .* has 5 characters, 16 at least were expected"),
        ("\n", 0o600, "there is no key in"),
        (PREDICT, 0o644, "holds keys and may be read by everybody"),
    ):
        with pytest.raises(InputError, match=told):
            Keys(file_of(tmp_path, text, mode), None, {})
    with pytest.raises(InputError, match="cannot be read"):
        Keys(tmp_path / "none", None, {})
    with pytest.raises(InputError, match="a key in VITRAIL_ADMIN_KEY has 3 characters"):
        Keys(None, None, {"VITRAIL_ADMIN_KEY": "abc"})
    assert os.environ.get("VITRAIL_ADMIN_KEY") != "abc"


def test_a_file_of_keys_that_became_unusable_lets_nobody_in_and_is_named_to_nobody(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("a key of sixteen or more".replace(" ", "-") + "\n")
    file.chmod(0o600)
    keys = Keys(file, None, {})
    file.write_text("")
    with pytest.raises(Refusal) as refused:
        keys.refuse_stranger("predict", {"authorization": "Bearer a-key-of-sixteen-or-more"})
    assert refused.value.code == "unavailable" and str(tmp_path) not in str(refused.value)
