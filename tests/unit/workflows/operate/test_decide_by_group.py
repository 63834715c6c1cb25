import csv

import pytest

import vitrail
from tests.conftest import picture
from tests.rollout import fitted_package
from vitrail.basics.errors import InputError
from vitrail.models.package import read_package


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    """A package of two classes, and a table of other images with a site."""
    folder = tmp_path_factory.mktemp("binary")
    for hue, label in enumerate(("blue", "red")):
        (folder / "data" / label).mkdir(parents=True)
        for number in range(12):
            picture(1000 * hue + number, hue=hue).save(folder / "data" / label / f"{number}.png")
    rows = []
    for number in range(60):
        hue = number % 2
        picture(50_000 + number, hue=hue).save(folder / f"{number}.png")
        rows.append([f"{number}.png", ("blue", "red")[hue], "ab"[number // 2 % 2]])
    with (folder / "new.csv").open("w", newline="") as sink:
        csv.writer(sink).writerows([["path", "label", "site"], *rows])
    return fitted_package(folder / "package", folder / "data", size=32, reference=False), folder / "new.csv"


def test_a_package_gets_thresholds_by_group_and_says_that_the_group_must_be_known(binary, tmp_path):
    package, table = binary
    result = vitrail.decide_by_group(
        package, table, by_group="site", out=tmp_path / "alike", least_group=5, workers=0, device="cpu",
        emit=vitrail.nobody,
    )  # fmt: skip
    part = read_package(tmp_path / "alike").part("group_thresholds")
    assert part == result.thresholds and set(part.thresholds) == {"a", "b"} and part.attribute == "site"
    assert result.figures["accuracy"].before.n == result.figures["accuracy"].after.n == 60
    shown = repr(result)
    assert "note       site must be known whenever these are used: predict and serve do not know it" in shown
    assert "on 60 images, each judged by thresholds that others chose" in shown
    assert result.as_json()["figures"]["gap"]["after"]["n"] == 30


def test_by_group_goes_with_data_alone(vitrail_typed, binary):
    code, said = vitrail_typed("decide", binary[0], "--by-group", "site", "--out", "x")
    assert code == 2 and "--by-group goes with --data, and with no other decision" in said


@pytest.fixture
def vitrail_typed(monkeypatch, capsys):
    """The command, as (exit code, what it said)."""
    import sys

    from vitrail.cli import main

    def typed(*arguments):
        monkeypatch.setattr(sys, "argv", ["vitrail", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main.main()
        return end.value.code, "".join(capsys.readouterr())

    return typed


def test_an_attribute_that_there_is_not_is_refused(binary, tmp_path):
    package, table = binary
    with pytest.raises(InputError, match="the image table has no attribute 'sight'"):
        vitrail.decide_by_group(
            package, table, by_group="sight", out=tmp_path / "x", workers=0, device="cpu", emit=vitrail.nobody
        )
