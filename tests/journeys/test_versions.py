"""The version store, as an operator types it."""

import json
import re

import pytest

import vitrail as python
from tests.conftest import picture
from tests.serving import small_package
from vitrail.rollout.versioned_package import served_version


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("VITRAIL_VERSIONS", str(tmp_path / "store" / "versions.sqlite"))
    return tmp_path / "store"


def test_register_alias_sign_and_list(vitrail, store, small_packages, tmp_path):
    ended = vitrail("register", small_packages["ants"], "--name", "insects", "--note", "first try", "--as", "Ben")
    assert ended.code == 0 and ended.out.startswith("insects@1   registered\ndigest   ")
    assert re.search(r"\n  \d{4}-\d\d-\d\d \d\d:\d\d  first try, by Ben\n", ended.out)
    assert "next     vitrail admit insects@1 --against stable --data DIR" in ended.out
    assert vitrail("register", small_packages["bees"], "--name", "insects", "--parent", "insects@1").code == 0
    again = vitrail("register", small_packages["ants"], "--name", "insects", "--json")
    assert (json.loads(again.out)["version"], json.loads(again.out)["is_new"]) == (1, False)

    assert vitrail("alias", "insects@1", "stable").code == 0
    assert vitrail("alias", "insects@2", "stable", "--note", "better").code == 0
    assert vitrail("sign", "insects@2", "--as", "Ada Lovelace", "--note", "read its report").code == 0
    second, first = vitrail("versions", "insects").out.splitlines()
    assert second.startswith("insects@2  ") and second.endswith("registered   stable   signed by Ada Lovelace")
    assert first.startswith("insects@1  ") and first.endswith("registered   previous")
    told = vitrail("versions", "insects@stable").out
    assert "parent   insects@1" in told and "is stable (better), by" in told
    assert "signed: read its report, by Ada Lovelace" in told
    listed = json.loads(vitrail("versions", "--json").out)["versions"]
    assert [(each["id"], each["aliases"]) for each in listed] == [
        ("insects@1", ["previous"]),
        ("insects@2", ["stable"]),
    ]
    assert vitrail("retire", "insects@1", "--note", "old").code == 0
    refused = vitrail("alias", "insects@1", "stable")
    assert refused.code == 2 and "error: insects@1 is retired and does not become stable" in refused.err


def test_a_version_is_given_where_a_package_is_expected(vitrail, store, small_packages, tmp_path):
    python.register(small_packages["ants"], name="insects")
    python.set_alias("insects@1", "stable")
    photo = tmp_path / "a.png"
    picture(1).save(photo)
    by_version, by_folder = (
        vitrail("predict", "insects@stable", photo),
        vitrail("predict", small_packages["ants"], photo),
    )
    assert by_version.code == 0 and by_version.out == by_folder.out
    assert python.package_of_version("insects").parent == store / "versions"
    assert served_version("insects@stable") == (python.package_of_version("insects@1"), "insects-1")
    assert served_version("runs/insects") is None
    missing = vitrail("predict", "insects@9", photo)
    assert missing.code == 2 and "error: there is no insects@9: versions 1 to 1 were registered" in missing.err


def test_in_postgresql_with_files_behind_a_url_several_machines_see_the_same_versions(
    vitrail, postgres, small_packages
):
    address, files = postgres.database("versions_by_command"), "memory://by-command"
    refused = vitrail("register", small_packages["ants"], "--name", "insects", "--store", address)
    assert refused.code == 2 and "hint: say it once: --files /shared/versions" in refused.err
    said = vitrail(
        "register", small_packages["ants"], "--name", "insects", "--store", address, "--files", files, "--json"
    )
    assert json.loads(said.out)["id"] == "insects@1"
    assert vitrail("sign", "insects@1", "--as", "Ada", "--note", "seen", "--store", address).code == 0
    assert "signed by Ada" in vitrail("versions", "--store", address).out
    assert python.package_of_version("insects@1", store=address).is_dir()


def test_a_damaged_package_is_not_registered(vitrail, store, tmp_path):
    package = small_package(tmp_path / "damaged")
    (package / "README.md").write_text("another")
    ended = vitrail("register", package, "--name", "insects")
    assert ended.code == 2 and "README.md was changed after the package was made" in ended.err
    assert vitrail("versions").out.splitlines()[0].endswith("holds no versions")


@pytest.mark.filterwarnings("ignore")
def test_to_mlflow_and_back_under_another_name(vitrail, store, small_packages, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    python.register(small_packages["ants"], name="insects")
    python.set_alias("insects@1", "stable")
    address = f"file://{tmp_path}/registry"
    assert vitrail("mlflow", "push", "insects@1", "--to", address).out == "insects@1 is models:/insects/1\n"
    pulled = vitrail("mlflow", "pull", "insects", "champion", "--from", address, "--name", "colleagues", "--json")
    assert json.loads(pulled.out)["id"] == "colleagues@1"
    assert json.loads(pulled.out)["digest"] == python.versions("insects@1").versions[0].digest
