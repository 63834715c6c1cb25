import pytest

from vitrail.basics.errors import InputError
from vitrail.rollout.version_names import VersionName, may_name_a_version, version_name


def test_a_number_an_alias_and_a_name_alone_are_versions():
    assert version_name("flowers@7") == VersionName("flowers", number=7)
    assert version_name("flowers@stable") == VersionName("flowers", alias="stable")
    assert version_name("flowers") == VersionName("flowers")
    assert [str(version_name(text)) for text in ("a@1", "a@previous", "a")] == ["a@1", "a@previous", "a"]


def test_what_follows_the_at_must_be_known():
    with pytest.raises(InputError) as refused:
        version_name("flowers@newest")
    assert str(refused.value) == (
        "flowers@newest names no version: 'newest' is neither a number nor one of stable, candidate, previous\n"
        "hint: for example flowers@1 or flowers@stable"
    )
    for text in ("flowers@0", "flowers@-1", "flowers@", "flowers@1.5", "flowers@1@2"):
        with pytest.raises(InputError, match="names no version"):
            version_name(text)


@pytest.mark.parametrize("name", ["", "Flowers", "../flowers", "a/b", "-flowers", "a b", "x" * 65])
def test_a_name_cannot_be_a_path_or_an_option(name):
    with pytest.raises(InputError) as refused:
        version_name(name)
    assert str(refused.value) == (
        f"{name!r} is no name of a model: 1 to 64 small letters, digits, `.`, `-` and `_` were expected, a letter or "
        "digit first\nhint: for example --name flowers"
    )


def test_only_what_can_be_nothing_else_is_taken_for_a_version_where_a_path_is_expected():
    assert may_name_a_version("flowers@7") and may_name_a_version("flowers@candidate")
    assert not any(map(may_name_a_version, ["flowers", "runs/flowers@7", "me@home", "timm/vit@x", "flowers@07"]))
