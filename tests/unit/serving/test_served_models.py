from pathlib import Path

import pytest

from vitrail.basics.errors import InputError, PackageError
from vitrail.serving.served_models import ServedPackage, models_of_arguments


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("runs/ants/package", "runs/bees/package", "other/ants/package", "plain"):
        Path(place).mkdir(parents=True)
    return tmp_path


def served(*arguments):
    return [(each.model, str(each.folder), each.weight) for each in models_of_arguments(arguments).packages]


def refusal(*arguments):
    with pytest.raises(InputError) as refused:
        models_of_arguments(arguments)
    return str(refused.value)


def test_models_are_called_after_their_runs_and_the_second_of_a_name_gets_a_number(here):
    assert served("runs/ants/package", "other/ants/package", "plain") == [
        ("ants", "runs/ants/package", 1.0), ("ants-2", "other/ants/package", 1.0), ("plain", "plain", 1.0)]  # fmt: skip


def test_what_follows_the_last_equals_sign_is_the_weight(here):
    assert served("runs/ants/package=80", "runs/bees/package=2.5e0", "plain=0") == [
        ("ants", "runs/ants/package", 80.0), ("bees", "runs/bees/package", 2.5), ("plain", "plain", 0.0)]  # fmt: skip


def test_a_path_may_hold_equals_signs(here):
    for place in ("a=b/package", "lr=3", "x=1=2"):
        Path(place).mkdir(parents=True)
    assert served("a=b/package") == [("a-b", "a=b/package", 1.0)]
    assert served("a=b/package=5", "lr=3=4") == [("a-b", "a=b/package", 5.0), ("lr-3", "lr=3", 4.0)]
    assert served("lr=3") == [("lr-3", "lr=3", 1.0)]


def test_where_both_readings_are_there_the_number_is_a_weight(here):
    Path("plain=3").mkdir()
    assert served("plain=3") == [("plain", "plain", 3.0)]


def test_a_run_means_the_package_in_it(here):
    for name in ("journal.jsonl", "settings.json"):
        Path("runs/ants", name).touch()
    assert served("runs/ants=1") == [("ants", "runs/ants/package", 1.0)]


def test_a_run_that_is_not_finished_is_refused(here):
    Path("runs/new").mkdir()
    for name in ("journal.jsonl", "settings.json"):
        Path("runs/new", name).touch()
    with pytest.raises(PackageError, match="runs/new is a run that is not finished"):
        models_of_arguments(["runs/new"])


@pytest.mark.parametrize(
    ("folder", "name"),
    [("größte Ameisen", "grote-Ameisen"), ("患者", "model"), ("...", "model"), ("_a_", "a"), ("x" * 200, "x" * 50)],
)
def test_names_become_safe_in_an_address(here, folder, name):
    Path(folder).mkdir()
    assert served(folder)[0][0] == name


def test_the_folder_that_one_stands_in_has_a_name_too(here, monkeypatch):
    monkeypatch.chdir(here / "runs" / "ants" / "package")
    assert served(".") == [("ants", ".", 1.0)]


def test_routes_have_a_stable_arm_for_each_model(here):
    routes = models_of_arguments(["runs/ants/package=80", "runs/bees/package=20"]).routes()
    assert [(arm.name, arm.model, arm.role, arm.weight) for arm in routes.arms] == [
        ("ants", "ants", "stable", 80.0), ("bees", "bees", "stable", 20.0)]  # fmt: skip
    assert (routes.revision, routes.by) == (1, "command line")


EXPLAINED = "hint: a weight is a number behind the last =, e.g. runs/ants/package=80"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "no package to serve was given\nhint: e.g. vitrail serve runs/ants/package"),
        (["runs/ant"], "runs/ant: no such package folder\nhint: vitrail fit writes one into runs/NAME/package"),
        (["plain=80%"], f"plain=80%: no such package folder\n{EXPLAINED}"),
        (["plain="], f"plain=: no such package folder\n{EXPLAINED}"),
        (["file"], "file is a file, not the folder of a package\nhint: e.g. runs/NAME/package"),
        (["plain=-1"], "plain: its weight is -1\nhint: a number from 0, e.g. 80"),
        (["plain=nan"], "plain: its weight is nan\nhint: a number from 0, e.g. 80"),
        (["plain=INF"], "plain: its weight is inf\nhint: a number from 0, e.g. 80"),
        (["plain=1e999"], "plain: its weight is inf\nhint: a number from 0, e.g. 80"),
        (["plain=0", "runs/ants/package=0"],
         "all weights are 0: nobody would answer\nhint: give at least one package a weight above 0"),
        (["plain=1", "runs/ants/package"],
         "runs/ants/package has no weight, others have one\n"
         "hint: give each package a weight, or none; 0: only for fallback"),
        (["plain=80", "./plain/=20"], "./plain/ has two weights: 80 and 20\nhint: name each package once"),
        (["plain", "plain=20"], "plain has two weights: none and 20\nhint: name each package once"),
        (["plain=1", "plain=1"], "plain is given twice\nhint: name each package once"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused(here, arguments, text):
    Path("file").touch()
    assert refusal(*arguments) == text


def test_a_link_to_a_package_is_the_same_package(here):
    Path("current").symlink_to("plain")
    assert refusal("plain=1", "current=2").startswith("current has two weights: 1 and 2")
    assert models_of_arguments(["current"]).packages == (ServedPackage("current", Path("current"), 1.0),)


@pytest.mark.parametrize("odd", ["a\0b", "x" * 5000])
def test_paths_that_cannot_be_are_refused(here, odd):
    assert refusal(f"{odd}=5").splitlines()[-1].startswith("hint: ")


def test_a_version_is_served_under_its_own_name_with_the_weight_behind_it(tmp_path):
    kept = tmp_path / "0123abcd"
    kept.mkdir()
    found = {"flowers@stable": (kept, "flowers-7")}
    served = models_of_arguments(["flowers@stable=80"], found=found.get)
    assert [(each.model, each.folder, each.weight) for each in served.packages] == [("flowers-7", kept, 80.0)]
