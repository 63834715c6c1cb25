import dataclasses
import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed

from tests.unit.models.folders import SMALL, random_model, timm_folder
from vitrail.basics.errors import InputError, PackageError
from vitrail.basics.files import sha256_of
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.catalogue import build_model, preprocessing_of
from vitrail.models.heads import feature_width, set_linear_head
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import PackageContents, read_package, write_package
from vitrail.models.position_embedding import use_factorised_position
from vitrail.models.ready import ReadyModel
from vitrail.models.seal import seal_folder

CLASSES = ("ant", "bee", "wasp")
MODELS: dict[str, tuple[str, dict]] = {
    "vit": ("vit_tiny_patch16_224", {"image_size": 48}),
    "padded vit": ("vit_tiny_patch16_224", {"image_size": (41, 50), "pad": True}),
    "relative vit": ("vit_tiny_patch16_224", {"image_size": 48, "position": "relative"}),
    "vit with two-dimensional positions": ("vit_tiny_patch16_224", {"image_size": 48, "position": "2d"}),
    "vit without position, pooling by average": (
        "vit_tiny_patch16_224",
        {"image_size": (48, 64), "position": "none", "pooling": "avg"},
    ),
    "distilled deit": ("deit_tiny_distilled_patch16_224", {"image_size": 48}),
    "hybrid": ("vit_tiny_r_s16_p8_224", {"image_size": 64}),
    "swin": ("swin_tiny_patch4_window7_224", {"image_size": 64}),
    "pvt v2": ("pvt_v2_b0", {"image_size": 64}),
    "convnext": ("convnext_atto", {"image_size": 70}),
    "resnet": ("resnet18", {"image_size": (50, 70), "drop_path": 0.1}),
}


def built_model(family: str = "vit") -> ReadyModel:
    name, settings = MODELS[family]
    built = build_model(ModelSettings.parse(name=name, pretrained=False, **settings), num_classes=10)
    for parameter in built.model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    set_linear_head(built.model, torch.randn(3, feature_width(built.model)), torch.randn(3))
    return built


def contents(preprocessing: Preprocessing | None = None, **changes) -> PackageContents:
    shown = preprocessing or Preprocessing(
        height=48, width=48, crop_fraction=0.95, mean=(0.11, 0.2, 0.3), std=(0.4, 0.5, 0.6), normalization="domain"
    )
    given = {
        "card": "# Ants\n",
        "metrics": {"accuracy": {"value": 0.9, "n": 100, "interval": [0.83, 0.95]}},
        "provenance": {"weights": "hf-hub:org/model", "images": "hymenoptera, 245 images", "page": "https://a.b/c"},
    }
    return PackageContents(**{"classes": CLASSES, "preprocessing": shown, **given, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_package(tmp_path / "package", built_model(), contents=contents())
    return tmp_path / "package"


def changed(folder: Path, name: str, change: Callable[[Any], object], *, knowing: bool = True) -> None:
    """Change a JSON file of a package in place and seal it again, as somebody `knowing` what else must follow."""
    value = json.loads((folder / name).read_text())
    change(value)
    (folder / name).write_text(json.dumps(value))
    facts = json.loads((folder / "vitrail.json").read_text())
    if knowing and "describes" in facts:
        facts["describes"] = {file: sha256_of(folder / file) for file in facts["describes"]}
        (folder / "vitrail.json").write_text(json.dumps(facts))
    seal_folder(folder)


def refused(folder: Path) -> str:
    with pytest.raises(PackageError) as raised:
        read_package(folder)
    assert "\nhint: " in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("family", MODELS)
def test_timm_and_vitrail_give_the_logits_of_the_model_that_was_packed(family: str, tmp_path: Path) -> None:
    built = built_model(family)
    shown = built.preprocessing.model_copy(
        update={"crop_fraction": 0.93, "mean": (0.1, 0.2, 0.3), "crop_mode": "squash"}
    )
    write_package(tmp_path / "package", built, contents=contents(shown))
    package = read_package(tmp_path / "package")
    of_timm = timm.create_model(f"local-dir:{tmp_path / 'package'}", pretrained=True).eval()
    x = torch.randn(2, 3, shown.height, shown.width)
    with torch.inference_mode():
        expected = built.model(x)
        assert torch.equal(package.load_model()(x), expected)
        assert torch.equal(of_timm(x), expected)
    assert preprocessing_of(of_timm) == shown
    assert package.preprocessing == shown
    assert package.classes == CLASSES


def test_a_package_is_itself_a_model_to_build_on(folder: Path) -> None:
    built = build_model(ModelSettings(name=str(folder)))
    assert built.weights.initialised == built.weights.dropped == built.weights.resized == ()
    assert built.preprocessing.mean == (0.11, 0.2, 0.3)
    again = folder.with_name("again")
    write_package(again, built, contents=contents())
    assert (again / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_a_padded_package_is_built_on_without_losing_its_image_size(tmp_path: Path) -> None:
    built = built_model("padded vit")
    write_package(tmp_path / "p", built, contents=contents(built.preprocessing))
    again = build_model(ModelSettings(name=str(tmp_path / "p")))
    assert (again.preprocessing.height, again.preprocessing.width) == (41, 50)
    assert again.weights.resized == ()


def test_a_padded_package_brings_its_own_grid_to_another_size(tmp_path: Path) -> None:
    built = built_model("padded vit")  # 41×50 pixels: a grid of 3×4 patches
    write_package(tmp_path / "p", built, contents=contents(built.preprocessing))
    again = build_model(ModelSettings(name=str(tmp_path / "p"), image_size=(64, 48)))
    expected = resample_abs_pos_embed(built.model.pos_embed, new_size=[4, 3], old_size=[3, 4])
    assert torch.equal(again.model.pos_embed, expected)
    assert again.weights.resized == ("pos_embed",)


def test_everything_that_was_said_is_read_back(folder: Path) -> None:
    package = read_package(folder)
    given = contents()
    assert package.metrics == given.metrics and package.provenance == given.provenance
    assert package.preprocessing == given.preprocessing
    assert package.architecture == "vit_tiny_patch16_224" and package.format_version == 1
    assert (folder / "README.md").read_text() == given.card
    assert json.loads((folder / "config.json").read_text())["label_names"] == list(CLASSES)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*package.digests, "SHA256SUMS"])
    with pytest.raises(TypeError):
        package.metrics["accuracy"] = 1


def test_packing_leaves_the_model_and_its_two_dimensional_table_as_they_are(tmp_path: Path) -> None:
    built = built_model("vit with two-dimensional positions")
    before = [name for name, _ in built.model.named_parameters()]
    write_package(tmp_path / "package", built, contents=contents())
    assert [name for name, _ in built.model.named_parameters()] == before


def test_half_precision_is_packed_as_float32(tmp_path: Path) -> None:
    built = built_model()
    write_package(tmp_path / "p", dataclasses.replace(built, model=built.model.bfloat16()), contents=contents())
    model = read_package(tmp_path / "p").load_model()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    built = built_model()
    for name in ("one", "two"):
        write_package(tmp_path / name, built, contents=contents())
    sums = [(tmp_path / name / "SHA256SUMS").read_bytes() for name in ("one", "two")]
    assert sums[0] == sums[1]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vitrail.json", "README.md", "SHA256SUMS"])
def test_a_changed_byte_anywhere_is_refused_and_the_file_named(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    step = max(1, len(whole) // 60)
    for place in {0, len(whole) - 1, *range(0, len(whole), step)}:
        changed = bytearray(whole)
        changed[place] ^= 0x20
        (folder / name).write_bytes(bytes(changed))
        text = refused(folder)
        assert f": {name} was changed after the package was made" in text, place
    (folder / name).write_bytes(whole)
    read_package(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vitrail.json", "README.md", "SHA256SUMS"])
def test_a_missing_file_is_refused_and_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{name} is missing" in refused(folder)


@pytest.mark.parametrize("edit", [lambda text: text + "\n", lambda text: text + "0" * 64 + "  extra\n", lambda _: ""])
def test_a_list_of_digests_that_was_added_to_is_refused(folder: Path, edit) -> None:
    path = folder / "SHA256SUMS"
    path.write_text(edit(path.read_text()))
    assert "SHA256SUMS was changed after the package was made" in refused(folder)


def test_a_list_that_leaves_the_folder_is_refused(folder: Path) -> None:
    (folder.parent / "outside").write_text("x")
    os.symlink(folder.parent / "outside", folder / "inside")
    seal_folder(folder)
    text = (folder / "SHA256SUMS").read_text().replace("inside", "../outside")
    lines = text.split("\n", 1)[1]
    head = f"# sha256 of the lines below: {hashlib.sha256(lines.encode()).hexdigest()}\n"
    (folder / "SHA256SUMS").write_text(head + lines)
    assert "SHA256SUMS was changed" in refused(folder)


def test_the_list_of_digests_is_what_sha256sum_checks(folder: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "model.safetensors: OK" in done.stdout


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.PTH", "sub/old.pkl", "optimizer.pt"])
def test_a_file_that_may_hold_code_is_refused_even_when_it_is_sealed(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04")
    seal_folder(folder)
    assert f"{name} may hold code (pickle)" in refused(folder)


@pytest.mark.parametrize(("version", "action"), [(2, "upgrade vitrail"), (0, "write the package again")])
def test_a_format_version_that_is_not_read_here_is_told(folder: Path, version: int, action: str) -> None:
    facts = json.loads((folder / "vitrail.json").read_text())
    (folder / "vitrail.json").write_text(json.dumps({**facts, "format_version": version}))
    seal_folder(folder)
    text = refused(folder)
    assert f"the package has format version {version}; versions 1 to 1 are read here\nhint: {action}" in text


@pytest.mark.parametrize("content", ["{}", "[]", '{"format": "other", "format_version": 1}'])
def test_a_sealed_folder_of_something_else_is_refused(folder: Path, content: str) -> None:
    (folder / "vitrail.json").write_text(content)
    seal_folder(folder)
    assert "vitrail.json does not describe a vitrail package" in refused(folder)


def test_facts_that_are_incomplete_are_refused(folder: Path) -> None:
    facts = json.loads((folder / "vitrail.json").read_text())
    del facts["classes"]
    (folder / "vitrail.json").write_text(json.dumps(facts))
    seal_folder(folder)
    assert "vitrail.json is incomplete: classes is missing" in refused(folder)


def test_a_folder_that_is_no_package_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    assert f"{tmp_path}: it is not a package" in refused(tmp_path)
    assert "no such package folder" in refused(tmp_path / "gone")
    plain = timm_folder(tmp_path / "timm", random_model("vit_tiny_patch16_224", **SMALL), **SMALL)
    assert "SHA256SUMS is missing" in refused(plain)


def test_weights_changed_between_reading_and_loading_are_refused(folder: Path) -> None:
    package = read_package(folder)
    other = built_model()
    write_package(folder.with_name("other"), other, contents=contents())
    (folder / "model.safetensors").write_bytes((folder.with_name("other") / "model.safetensors").read_bytes())
    with pytest.raises(PackageError, match=r"model\.safetensors was changed after the package was made"):
        package.load_model()


def test_weights_that_do_not_fit_the_configuration_are_refused(folder: Path) -> None:
    changed(folder, "config.json", lambda config: config["model_args"].update(embed_dim=96))
    with pytest.raises(PackageError, match="the weights do not fit vit_tiny_patch16_224 of timm"):
        read_package(folder).load_model()


def test_an_existing_folder_is_refused_and_left_alone(folder: Path) -> None:
    before = (folder / "SHA256SUMS").read_bytes()
    with pytest.raises(InputError, match="exists already, a new folder was expected\nhint: choose another name"):
        write_package(folder, built_model(), contents=contents())
    assert (folder / "SHA256SUMS").read_bytes() == before


def test_a_package_that_cannot_be_finished_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float values"):
        write_package(tmp_path / "package", built_model(), contents=contents(metrics={"auc": float("nan")}))
    assert list(tmp_path.iterdir()) == []


def test_class_names_must_match_the_classifier(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 class names were given for a classifier of 3 classes\nhint"):
        write_package(tmp_path / "p", built_model(), contents=contents(classes=("ant", "bee")))


@pytest.mark.parametrize(
    "text",
    [
        "/home/ann/images",
        "vitrail fit /data/x --out y",
        "local-dir:/srv/w",
        "~/runs/a",
        "C:\\data",
        "file '/a/b'",
        "x=/a",
    ],
)
def test_a_path_in_provenance_or_metrics_is_refused(tmp_path: Path, text: str) -> None:
    for place in ("provenance", "metrics"):
        with pytest.raises(InputError) as raised:
            write_package(tmp_path / "p", built_model(), contents=contents(**{place: {"source": [{"from": text}]}}))
        assert f"{place}.source[0].from holds a path: {text!r}" in str(raised.value)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("text", ["hf-hub:org/name", "https://a.b/c", "1/2 of the images", "and/or", "a / b", "3:4"])
def test_what_only_looks_like_a_path_is_kept(tmp_path: Path, text: str) -> None:
    write_package(tmp_path / "p", built_model(), contents=contents(provenance={"note": text}))
    assert read_package(tmp_path / "p").provenance["note"] == text


def test_the_real_probe_is_a_package_timm_reads_bit_equal(real_data: Path, tmp_path: Path) -> None:
    built = build_model(ModelSettings(name=str(real_data / "vit_tiny_in1k")))
    set_linear_head(built.model, torch.randn(3, 192), torch.zeros(3))
    use_factorised_position(built.model, from_table=True)
    write_package(tmp_path / "p", built, contents=contents(built.preprocessing))
    assert str(real_data) not in (tmp_path / "p" / "config.json").read_text()
    x = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        of_timm = timm.create_model(f"local-dir:{tmp_path / 'p'}", pretrained=True).eval()
        assert torch.equal(of_timm(x), built.model(x))
