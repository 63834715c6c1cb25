"""Admission of a version, as an operator types it."""

import json
import re

import pytest

import vitrail as python
from tests.rollout import fitted_package, permuted, with_nan
from vitrail.rollout.admission import all_gates
from vitrail.rollout.admission.policy import TESTS

QUIET = {"emit": python.nobody, "workers": 0, "device": "cpu"}
WIDE = {"margin": 0.05, "most_slowdown": 9.0, "attack_images": 16}


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    from tests.unit.rollout.admission.conftest import write_pictures

    folder = tmp_path_factory.mktemp("colours")
    return write_pictures(folder / "train", 60, seed=10_000), write_pictures(folder / "new", 40, seed=50_000)


@pytest.fixture(scope="module")
def fitted(colours, tmp_path_factory):
    """Three packages: one, the same fitted a little otherwise, and one whose classes are permuted."""
    folder = tmp_path_factory.mktemp("fitted")
    changes = {"one": {}, "again": {"ridge": 1.1e-2}, "permuted": {"change": permuted}}
    return {name: fitted_package(folder / name, colours[0], **change) for name, change in changes.items()}


@pytest.fixture
def store(fitted, tmp_path, monkeypatch):
    """`colours@1` is stable; `@2` was fitted anew."""
    monkeypatch.setenv("VITRAIL_VERSIONS", str(tmp_path / "versions.sqlite"))
    for kind in ("one", "again"):
        python.register(fitted[kind], name="colours")
    python.set_alias("colours@1", "stable")
    return tmp_path


def test_every_test_is_named_once_and_in_the_order_in_which_it_is_made():
    assert (all_gates.LOADS, *all_gates.GATES) == TESTS


@pytest.mark.slow
def test_an_admission_that_was_killed_goes_on_and_ends_in_the_versions_history(
    vitrail, store, colours, monkeypatch
):  # fmt: skip
    gates, made = dict(all_gates.GATES), []

    def counted(name):
        def gate(contest):
            made.append(name)
            if name == "memory_usage" and made.count(name) == 1:
                raise KeyboardInterrupt
            return gates[name](contest)

        return gate

    monkeypatch.setattr(all_gates, "GATES", {name: counted(name) for name in gates})
    typed = ["admit", "colours@2", "--data", colours[1], "--out", store / "run", "--workers", "0", "--as", "Ada"]
    typed += [part for name, value in {**WIDE, "device": "cpu"}.items() for part in ("--set", f"{name}={value}")]
    stopped = vitrail(*typed)
    assert stopped.code == 130 and "the same command continues where it was" in stopped.err
    assert python.versions("colours@2").versions[0].state == "registered"  # nothing half is said

    ended = vitrail(*typed)
    assert ended.code == 0 and ended.out.startswith("colours@2: admitted against colours@1\n\nloads  "), ended.err
    assert made == [*gates, "memory_usage"]  # what had been measured was not measured again
    assert re.search(
        r"\nmemory_usage +passed +a process with it takes \d+ MB at its peak, one with colours@1 ", ended.out
    )
    assert 'next     vitrail sign colours@2 --as "YOUR NAME" --note "what you looked at"' in ended.out
    report = json.loads((store / "run" / "report.json").read_text())["sections"]
    assert list(report) == ["admission", "comparison", "quality", "shift"]
    figures = report["admission"]["figures"]
    assert figures["meets_threshold"] is True and figures["accuracy_improvement"]["n"] == 120
    assert figures["regression_tests"] == dict.fromkeys(
        ["edge_cases", "adversarial_robustness", "distribution_shift", "memory_usage"], "passed"
    )
    assert isinstance(figures["speed_change"], float)
    page = (store / "run" / "report.html").read_text()
    assert "May it be rolled out?" in page and "14 of 14 tests are passed; every test gates." in page

    version = python.versions("colours@2").versions[0]
    assert version.state == "admitted"
    assert [each.kind for each in version.history] == ["registered", "admission", "state"]
    assert version.admission.by == "Ada" and version.admission.facts["speed_change"] == figures["speed_change"]
    assert "admission: admitted, by Ada" in vitrail("versions", "colours@2").out
    refused = vitrail(*typed)
    assert refused.code == 2 and "a finished run stands there" in refused.err


def test_what_is_rejected_hears_every_reason_and_by_how_much(vitrail, store, fitted, colours):
    python.register(fitted["permuted"], name="colours")
    typed = ["admit", "colours@3", "--against", "none", "--data", colours[1], "--out", store / "run", "--workers", "0"]
    ended = vitrail(*typed, "--set", "device=cpu", "--json", "--set", "attack_images=16")
    told = json.loads(ended.out)
    assert ended.code == 1 and (told["outcome"], told["against"], told["meets_threshold"]) == ("rejected", None, False)
    assert told["tests"]["class_floors"]["short_by"] == 0.5
    version = python.versions("colours@3").versions[0]
    assert version.state == "rejected" and "class_floors: of 'blue', its worst class" in version.admission.facts["why"]
    refused = vitrail("alias", "colours@3", "stable")
    assert refused.code == 2 and "colours@3 is rejected and does not become stable" in refused.err


def test_weights_that_are_no_numbers_are_rejected_and_nothing_else_is_tried(store, fitted, colours):
    python.register(with_nan(fitted["one"], store / "nan"), name="colours")
    result = python.admit("colours@3", colours[1], out=store / "run", **QUIET)
    assert (result.outcome, result.against) == ("rejected", "colours@1")
    assert result.gate("loads").decision == "failed"
    assert result.gate("loads").said == (
        "it cannot be used: blocks.0.attn.proj.bias holds NaN or infinity, finite weights were expected"
    )
    assert {each.decision for each in result.gates[1:]} == {"not measured"}
    assert result.report.is_file()


def test_a_version_is_not_admitted_against_itself_or_what_there_is_not(vitrail, store, colours):
    same = vitrail("admit", "colours@1", "--data", colours[1])
    assert same.code == 2 and "error: colours@1 is stable itself: there is nothing to admit" in same.err
    missing = vitrail("admit", "colours@2", "--against", "9", "--data", colours[1])
    assert missing.code == 2 and "there is no colours@9: versions 1 to 2 were registered" in missing.err


@pytest.mark.slow
def test_on_real_images_a_convolutional_network_is_held_against_a_vision_transformer(
    real_data, tmp_path, monkeypatch
):  # fmt: skip
    monkeypatch.setenv("VITRAIL_VERSIONS", str(tmp_path / "versions.sqlite"))
    few = {"train": 30, "val": 12}
    data = {name: _few(real_data / "hymenoptera" / name, tmp_path / name, each=each) for name, each in few.items()}
    for model in ("vit_tiny_in1k", "efficientnet_lite0_in1k"):
        named = {"model": f"local-dir:{real_data / model}", "pretrained": True, "size": 224}
        package = fitted_package(tmp_path / model, data["train"], ridge=1.0, **named)
        python.register(package, name="insects")
    python.set_alias("insects@1", "stable")
    result = python.admit("insects@2", data["val"], out=tmp_path / "run", margin=0.1, attack_images=2, **QUIET)
    assert result.gate("edge_cases").decision == "passed" and result.gate("speed").figures["speed_change"] > -1
    assert result.gate("memory_usage").figures["peak_megabytes_before"] > 200
    assert result.headline["accuracy_improvement"]["n"] == 24
    assert result.gate("non_inferiority").decision != "passed"  # of 24 images nobody can say so
    assert result.outcome == "rejected" and python.versions("insects@2").versions[0].state == "rejected"


def _few(folder, target, *, each):
    for label in ("ants", "bees"):
        (target / label).mkdir(parents=True)
        for file in sorted((folder / label).glob("*.jpg"))[:each]:
            (target / label / file.name).symlink_to(file)
    return target
