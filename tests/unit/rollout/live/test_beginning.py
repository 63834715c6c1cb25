"""What is refused before a rollout begins, with the command that helps; and what a plan needs."""

import pytest

from tests.serving import small_package
from tests.unit.rollout.live.service import quick_plan, registered
from vitrail.basics.errors import InputError
from vitrail.models.package import read_package
from vitrail.rollout.asked_plan import asked_plan, least_requests, least_seconds
from vitrail.rollout.live.beginning import Beginning
from vitrail.traffic.routes import Arm, Routes
from vitrail.traffic.routes_store import RoutesStore


def begin(service, name="flowers@2", **plan):
    return Beginning(name, service.versions, service.routes, quick_plan(**plan), replaces=None)


def test_what_may_begin_says_what_it_is_and_changes_nothing(service):
    running = service()
    found = begin(running)
    assert found.verified.verification.passed and found.arm == "flowers-1"
    assert found.verified.verification.sentence.endswith("3 classes")
    assert running.store.current() is None and running.routes.latest().revision == 1


def test_only_what_was_admitted_is_rolled_out(service, versions, packages):
    running = service()
    registered(versions, packages[2].folder, admitted=False)
    with pytest.raises(InputError) as refused:
        begin(running, "flowers@3")
    assert refused.value.message == "flowers@3 is registered: only what was admitted is rolled out"
    assert refused.value.hint == "vitrail admit flowers@3 --against stable --data DIR"
    versions.set_state("flowers@2", "rejected", by="Ada")
    with pytest.raises(InputError, match="flowers@2 is rejected: only what was admitted is rolled out"):
        begin(running)


def test_a_plan_may_ask_for_a_signature(service, versions):
    running = service()
    with pytest.raises(InputError) as refused:
        begin(running, needs_signature=True)
    assert refused.value.message == "nobody has signed for flowers@2, which this plan asks for"
    assert refused.value.hint == 'vitrail sign flowers@2 --as NAME --note "what was looked at"'
    versions.sign("flowers@2", by="Ada Lovelace", note="read its report")
    begin(running, needs_signature=True)


def test_without_a_server_there_is_nothing_to_replace(service, tmp_path, versions):
    from vitrail.basics.database import opened_database

    empty = opened_database(tmp_path / "empty.sqlite")
    with pytest.raises(InputError) as refused:
        Beginning("flowers@2", versions, RoutesStore(empty, lambda: 0.0), quick_plan(), replaces=None)
    empty.close()
    assert refused.value.message == "no server has been begun with this state: there is nothing to replace"
    assert refused.value.hint == "vitrail serve PACKAGE --state STATE, and the same --state here"


def test_a_package_with_other_classes_or_a_changed_byte_is_refused(service, versions, tmp_path):
    running = service()
    folder = versions.folder("flowers@2")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match=r"model\.safetensors was changed after the package was made"):
        begin(running)


def test_a_package_with_other_classes_is_refused(service, versions, other_classes):
    running = service()
    registered(versions, other_classes)
    with pytest.raises(InputError) as refused:
        begin(running, "flowers@3")
    said = "flowers@3 does not know the classes that are served: 1 missing (wasp), 2 new (fly, moth)"
    assert refused.value.message == said


@pytest.fixture(scope="module")
def other_classes(tmp_path_factory):
    from dataclasses import replace as changed

    from vitrail.models.catalogue import build_model
    from vitrail.models.model_settings import ModelSettings
    from vitrail.models.package import PackageContents, write_package

    folder = tmp_path_factory.mktemp("other")
    like = read_package(small_package(folder / "like" / "package", seed=9))
    contents = PackageContents(("ant", "bee", "fly", "moth"), changed(like).preprocessing, card="# Other\n")
    settings = ModelSettings.parse(name="test_vit", pretrained=False, image_size=48)
    write_package(folder / "package", build_model(settings, num_classes=4), contents=contents)
    return folder / "package"


def test_a_name_that_means_another_package_to_the_servers_is_refused(service, versions):
    running = service()
    latest = running.routes.latest()
    known = running.routes.models()["flowers-1"]
    arms = (*latest.arms, Arm("flowers-2", "flowers-2"))
    from dataclasses import replace as changed

    running.routes.write(
        Routes(2, arms), expected=1, models=[changed(known, model="flowers-2")]
    )  # fmt: skip
    with pytest.raises(InputError) as refused:
        begin(running)
    assert refused.value.message.startswith("the servers know another package as flowers-2, the name that flowers@2")
    assert refused.value.hint == "serve that one under another name: `name:` in serve.yaml"


def test_a_plan_is_a_small_file_and_what_is_said_beside_it_goes_first(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text("stages: {canary: 5, half: 50, all: 100}\nbake_seconds: 60\nneeds_signature: true\n")
    plan = asked_plan(file, {"bake_seconds": 30.0})
    assert (plan.timing.bake_seconds, plan.needs_signature, len(plan.stages)) == (30.0, True, 3)
    assert least_seconds(plan) == 300 + 3 * 600 + 30
    assert least_requests(plan) == {"shadow": 1500, "canary": 4000, "half": 400, "all": 200}
    file.write_text("bake_second: 60")
    with pytest.raises(InputError, match=r"plan\.yaml: a setting is wrong:\n  - unknown setting 'bake_second'"):
        asked_plan(file, {})
    file.write_text("- 1")
    with pytest.raises(InputError, match=r"plan\.yaml: names and values were expected\nhint: for example `bake_sec"):
        asked_plan(file, {})
