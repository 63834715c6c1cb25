"""What a package, or a folder with weights, must not be able to say."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.unit.models.folders import SMALL, edit_config, random_model, timm_folder
from tests.unit.models.test_package import CLASSES, changed, contents
from tools.mutate_packages import _Watched, small_package
from tools.package_changes import HOSTILE, PLACES
from vitrail.basics.errors import InputError, PackageError
from vitrail.models.catalogue import build_model
from vitrail.models.described_network import fault_of_weights
from vitrail.models.heads import feature_width, set_linear_head
from vitrail.models.model_settings import ModelSettings
from vitrail.models.network_arguments import checked_arguments
from vitrail.models.package import read_package, write_package
from vitrail.models.seal import seal_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_package(tmp_path / "package")


def refused(folder: Path) -> str:
    with _Watched(folder) as watched, pytest.raises(PackageError) as raised:
        read_package(folder).load_model()
    assert watched.touched == []
    assert "\nhint: " in str(raised.value)
    return str(raised.value)


def retold(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Other weights, with everything that is written about them."""
    safetensors.torch.save_file(state, folder / "model.safetensors")
    changed(folder, "config.json", lambda _config: None)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_argument_that_timm_would_obey_or_that_makes_no_sense_is_refused(folder: Path, name: str) -> None:
    changed(folder, "config.json", lambda config: config["model_args"].update({name: HOSTILE[name]}))
    text = refused(folder)
    assert name in text or "the weights do not fit test_vit" in text


@pytest.mark.parametrize("name", sorted({*PLACES} - {"input_size", "std", "mean", "crop_pct"}))
def test_a_place_that_a_description_names_is_never_visited(folder: Path, name: str) -> None:
    changed(folder, "config.json", lambda config: config["pretrained_cfg"].update({name: PLACES[name]}))
    with _Watched(folder) as watched:
        model: Any = read_package(folder).load_model()
        build_model(ModelSettings(name=f"local-dir:{folder}", pretrained=True), num_classes=5)
    assert watched.touched == []
    assert not {"url", "file", "hf_hub_id", "state_dict"} & {
        key for key, value in model.pretrained_cfg.items() if value
    }


@pytest.mark.parametrize(
    "name",
    [
        "hf-hub:timm/resnet18.a1_in1k",
        "local-dir:/etc",
        "timm/resnet18",
        "test_vit.r160_in1k",
        "../x",
        "",
        "no_such",
        3,
        None,
    ],
)
def test_an_architecture_is_a_plain_name_that_timm_knows(folder: Path, tmp_path: Path, name: Any) -> None:
    changed(folder, "config.json", lambda config: config.update(architecture=name))
    assert "architecture" in refused(folder)
    stranger = timm_folder(tmp_path / "timm", random_model("vit_tiny_patch16_224", **SMALL), **SMALL)
    edit_config(stranger, architecture=name)
    with _Watched(stranger) as watched, pytest.raises(InputError):
        build_model(ModelSettings(name=f"local-dir:{stranger}"))
    assert watched.touched == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_local_folder_may_say_no_more_than_a_package(tmp_path: Path, name: str) -> None:
    stranger = timm_folder(tmp_path / "timm", random_model("vit_tiny_patch16_224", **SMALL), **SMALL)
    config = json.loads((stranger / "config.json").read_text())
    edit_config(stranger, model_args={**config["model_args"], name: HOSTILE[name]})
    with _Watched(stranger) as watched, pytest.raises(InputError, match=r"\nhint: "):
        build_model(ModelSettings(name=f"local-dir:{stranger}"))
    assert watched.touched == []


@pytest.mark.parametrize(
    ("poison", "told"),
    [
        (float("nan"), "blocks.0.norm1.weight holds NaN or infinity, finite weights were expected"),
        (float("-inf"), "blocks.0.norm1.weight holds NaN or infinity"),
    ],
)
def test_weights_that_are_no_numbers_are_refused_when_a_package_is_opened(
    folder: Path, poison: float, told: str
) -> None:
    state = safetensors.torch.load_file(folder / "model.safetensors")
    state["blocks.0.norm1.weight"][3] = poison
    retold(folder, state)
    assert told in refused(folder)


def test_a_stored_limit_may_be_infinite_and_a_stored_statistic_not_nan() -> None:
    model = random_model("test_resnet")
    model.register_buffer("limit", torch.tensor([float("-inf"), float("inf")]))
    assert fault_of_weights(model) is None
    model.get_buffer("bn1.running_var")[0] = float("nan")
    assert fault_of_weights(model) == "bn1.running_var holds NaN or infinity, finite weights were expected"


@pytest.mark.parametrize("alike", ["zero", "equal rows"])
def test_a_model_that_answers_every_image_alike_is_refused_when_read_and_when_written(
    folder: Path, tmp_path: Path, alike: str
) -> None:
    state = safetensors.torch.load_file(folder / "model.safetensors")
    state["head.weight"] = torch.zeros(3, 64) if alike == "zero" else state["head.weight"][:1].repeat(3, 1)
    retold(folder, state)
    assert "so every image gets the same answer" in refused(folder)
    built = build_model(ModelSettings(name="test_vit", pretrained=False, image_size=32), num_classes=3)
    set_linear_head(built.model, state["head.weight"], torch.randn(3))
    with pytest.raises(InputError, match="this model is not packaged: its classifier weighs the features alike"):
        write_package(tmp_path / "new", built, contents=contents(built.preprocessing))
    set_linear_head(built.model, torch.full((3, feature_width(built.model)), float("nan")), torch.zeros(3))
    with pytest.raises(InputError, match=r"head\.weight holds NaN or infinity"):
        write_package(tmp_path / "new", built, contents=contents(built.preprocessing))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"std": [0, 0.2, 0.2]}, "std (0.0, 0.2, 0.2); values above zero were expected"),
        ({"std": [-0.1, 0.2, 0.2]}, "values above zero were expected"),
        ({"std": [0.2]}, "for 3 channels; one value for each was expected"),
        ({"mean": [0.1, 0.2]}, "for 3 channels; one value for each was expected"),
        ({"mean": [1e300, 0, 0]}, "finite values were expected"),
        ({"height": 0}, "an image of 0×32 pixels; sides of 1 to 4096 were expected"),
        ({"width": -1}, "an image of 32×-1 pixels"),
        ({"height": 10**9}, "an image of 1000000000×32 pixels"),
        ({"crop_fraction": 0}, "crop_fraction 0.0; 0.05 to 2 was expected"),
        ({"crop_fraction": 1e-9}, "crop_fraction 1e-09"),
        ({"interpolation": "magic"}, "interpolation: Input should be"),
        ({"height": 48}, "config.json says input_size [3, 32, 32], vitrail.json [3, 48, 32]"),
        ({"mean": [0.1, 0.5, 0.6]}, "config.json says mean [0.4, 0.5, 0.6], vitrail.json [0.1, 0.5, 0.6]"),
    ],
)
def test_a_preprocessing_that_makes_no_sense_or_contradicts_is_refused(folder: Path, changes: dict, told: str) -> None:
    changed(folder, "vitrail.json", lambda facts: facts["preprocessing"].update(changes))
    assert told in refused(folder)


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ("abc", "classes: Input should be a valid tuple"),
        (["ant"], "classes: Tuple should have at least 2 items"),
        (["ant", "bee", "ant"], "every class once was expected, 'ant' is there twice"),
        (["ant", "", "bee"], "at least 1 character"),
        (["ant", 3, "bee"], "Input should be a valid string"),
        (
            ["bee", "ant", "wasp"],
            "config.json says label_names ['ant', 'bee', 'wasp'], vitrail.json ['bee', 'ant', 'wasp']",
        ),
        ([str(number) for number in range(1_000_000)], "config.json says num_classes 3, vitrail.json 1000000"),
        ([*map(str, range(100_000)), "7"], "'7' is there twice"),
    ],
    ids=["text", "one", "twice", "empty", "number", "other order", "a million", "late twin"],
)
def test_classes_that_make_no_sense_or_contradict_are_refused(folder: Path, classes: Any, told: str) -> None:
    changed(folder, "vitrail.json", lambda facts: facts.update(classes=classes))
    text = refused(folder)
    assert told in text and len(text) < 1000


def test_a_renamed_class_is_what_the_package_answers(folder: Path) -> None:
    renamed = [*CLASSES[:2], "hornet"]
    changed(folder, "vitrail.json", lambda facts: facts.update(classes=renamed))
    changed(folder, "config.json", lambda config: config.update(label_names=renamed))
    assert read_package(folder).classes == tuple(renamed)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_from_another_package_is_told_though_the_seal_was_made_again(folder: Path, name: str) -> None:
    other = small_package(folder.with_name("other"))
    state = safetensors.torch.load_file(other / "model.safetensors")
    safetensors.torch.save_file({key: value + 1 for key, value in state.items()}, other / "model.safetensors")
    changed(other, "config.json", lambda config: config["model_args"].update(num_heads=2))
    (folder / name).write_bytes((other / name).read_bytes())
    seal_folder(folder)
    assert f"{name} is not the one that vitrail.json was written with" in refused(folder)


def test_packages_from_before_these_digests_are_read(folder: Path) -> None:
    changed(folder, "config.json", lambda config: config["model_args"].update(num_classes=3))
    changed(folder, "vitrail.json", lambda facts: facts.pop("describes"))
    assert read_package(folder).load_model()(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize("name", ["config.json", "vitrail.json", "model.safetensors", "README.md", "SHA256SUMS"])
@pytest.mark.parametrize("kind", ["pipe", "device", "link out", "link in a circle", "folder", "100 GB"])
def test_what_is_no_ordinary_file_of_the_folder_is_not_opened(folder: Path, name: str, kind: str) -> None:
    file = folder / name
    content = file.read_bytes()
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "100 GB":
        file.write_bytes(content)
        os.truncate(file, 100 * 2**30)
    else:
        target = {"device": Path("/dev/zero"), "link in a circle": file, "link out": folder.parent / name}[kind]
        (folder.parent / name).write_bytes(content)
        file.symlink_to(target)
    assert name in refused(folder)


def test_links_of_the_hubs_own_cache_are_followed(folder: Path) -> None:
    snapshot = folder.parent / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (folder.parent / "blobs").mkdir()
    for file in folder.iterdir():
        file.rename(folder.parent / "blobs" / file.name)
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    assert read_package(snapshot).classes == CLASSES


@pytest.mark.parametrize("length", [0, 1, 2**40, 2**63])
def test_a_header_of_weights_that_is_said_to_be_endless_is_not_believed(folder: Path, length: int) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + content[8:])
    changed(folder, "config.json", lambda _config: None)
    assert f"its header is said to have {length:,} bytes" in refused(folder)


def test_files_that_the_seal_does_not_know_are_never_opened(folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"\0")
    os.mkfifo(folder / "pipe")
    (folder / "elsewhere").symlink_to("/etc")
    with _Watched(folder) as watched:
        read_package(folder).load_model()
    assert watched.touched == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "model_args is [], an object was expected"),
        ({"depth": 1001}, "model_args.depth is 1001, 0 to 1,000 was expected"),
        ({"depths": [500, 501]}, "at most 1000 layers were expected"),
        ({"embed_dim": [[1] * 65]}, "at most 64 values were expected"),
        ({"qkv_bias": 1}, "model_args.qkv_bias is 1, true or false was expected"),
        ({"depth": "12"}, "a number was expected"),
        ({"depth": True}, "a number was expected"),
        ({"mlp_ratio": float("inf")}, "-65,536 to 65,536 was expected"),
        ({"drop_rate": 1.5}, "0 to 1 was expected"),
        ({"global_pool": "/etc/passwd"}, "a word was expected"),
        ({"checkpoint_path": None}, "which is not among the arguments that a description may give"),
    ],
)
def test_arguments_are_known_of_their_kind_and_within_bounds(arguments: Any, told: str) -> None:
    with pytest.raises(ValueError) as raised:
        checked_arguments(arguments)
    assert told in str(raised.value)


def test_arguments_that_people_use_are_passed_on() -> None:
    usual = {
        "img_size": [64, 48],
        "depths": [1, 2],
        "mlp_ratio": 2.5,
        "init_values": None,
        "global_pool": "",
        "fc_norm": True,
    }
    assert checked_arguments(usual) == usual


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("norm.weight", 0.0, "every image gets the same answer"),
        ("patch_embed.proj.weight", 0.0, "every image gets the same answer"),
        ("head.weight", 3e38, "it answers with NaN or infinity"),
    ],
)
def test_a_network_that_answers_alike_to_all_or_with_no_number_is_refused_when_it_is_opened(
    folder: Path, name: str, value: float, told: str
) -> None:
    state = safetensors.torch.load_file(folder / "model.safetensors")
    state[name] = torch.full_like(state[name], value)
    if name == "head.weight":
        state[name][0] = -value
    retold(folder, state)
    assert f"{folder}: {told}\nhint: take an earlier package" in refused(folder)


def test_true_is_no_format_version(folder: Path) -> None:
    changed(folder, "vitrail.json", lambda facts: facts.update(format_version=True))
    assert "does not describe a vitrail package" in refused(folder)
