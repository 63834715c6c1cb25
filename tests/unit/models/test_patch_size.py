from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from tests.unit.models.folders import edit_config, random_model, same_state, timm_folder
from tests.unit.models.test_catalogue import answer, assert_refused, build, untrained
from tests.unit.models.test_flax_weights import flax_arrays
from tests.unit.models.test_package import contents
from vitrail.models.heads import set_linear_head
from vitrail.models.package import read_package, write_package

NAMES = {
    "Ti": "vit_tiny_patch16_224", "S": "vit_small_patch32_224", "B": "vit_base_patch8_224",
    "L": "vit_large_patch16_224", "H": "vit_huge_patch14_224",
}  # fmt: skip
METHOD = "the pseudo-inverse of a bicubic, antialiased resize"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """What stands before the blocks of every size (and one block of the smallest), random, of that size's own patch."""
    place, depth = tmp_path_factory.mktemp("sizes"), {"Ti": 1}
    return {
        size: timm_folder(place / size, random_model(name, depth=depth.get(size, 0)), depth=depth.get(size, 0))
        for size, name in NAMES.items()
    }


@pytest.mark.parametrize("patch", [8, 14, 16, 32])
@pytest.mark.parametrize("size", NAMES)
def test_every_size_takes_every_patch_as_timm_resamples_it(size: str, patch: int, folders: dict[str, Path]) -> None:
    built = build(folders[size], patch_size=patch)
    with torch.no_grad():
        theirs = timm.create_model(f"local-dir:{folders[size]}", pretrained=True, patch_size=patch)
    assert same_state(built.model, theirs)
    assert built.model.patch_embed.grid_size == (224 // patch, 224 // patch)
    is_own = theirs.default_cfg["architecture"].split("_patch")[1].startswith(f"{patch}_")
    assert (built.weights.patch_resampling, built.weights.resized) == (
        (None, ()) if is_own else (METHOD, ("patch_embed.proj.weight", "pos_embed"))
    )


def test_how_patches_and_positions_were_resampled_is_told(folders: dict[str, Path]) -> None:
    assert build(folders["Ti"], patch_size=8).weights.summary() == (
        "Ti/model.safetensors: 20 tensors used; resized 2 (patch_embed.proj.weight, pos_embed): patches by the "
        "pseudo-inverse of a bicubic, antialiased resize, positions by bicubic interpolation, antialiased"
    )


@pytest.mark.parametrize(
    "settings", [{"patch_size": 8}, {"patch_size": 10, "image_size": (33, 45), "pad": True}, {"patch_size": 28}]
)
@pytest.mark.parametrize("position", ["weights", "2d", "relative", "none"])
def test_a_package_with_another_patch_answers_the_same_when_opened_again(
    settings: dict, position: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    if settings.get("pad") and position == "relative":
        pytest.skip("relative positions take no padding")
    built = build(folders["Ti"], num_classes=3, position=position, **settings)
    set_linear_head(built.model, torch.randn(3, 192), torch.randn(3))
    write_package(tmp_path / "package", built, contents=contents(built.preprocessing))
    package = read_package(tmp_path / "package")
    x = torch.randn(2, 3, built.preprocessing.height, built.preprocessing.width)
    with torch.inference_mode():
        expected = built.model(x)
        assert torch.equal(package.load_model()(x), expected)
        assert torch.equal(timm.create_model(f"local-dir:{tmp_path / 'package'}", pretrained=True).eval()(x), expected)
        assert torch.equal(build(tmp_path / "package").model(x), expected)
    assert package.model_args["patch_size"] == settings["patch_size"]


def test_an_enlarged_picture_looks_alike_through_larger_patches(folders: dict[str, Path]) -> None:
    """What the pseudo-inverse is made for: the tokens of a picture and of the same one enlarged are equal."""
    small = torch.randn(1, 3, 16, 16)
    large = resize_as_patches_are(small, 32)
    own, wide = build(folders["Ti"], image_size=16), build(folders["Ti"], patch_size=32, image_size=32)
    with torch.inference_mode():
        torch.testing.assert_close(own.model.patch_embed(small), wide.model.patch_embed(large), rtol=1e-3, atol=1e-4)


def resize_as_patches_are(image: torch.Tensor, side: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(image, size=(side, side), mode="bicubic", antialias=True)


def test_googles_archives_take_other_patches_too(tmp_path: Path) -> None:
    vit = random_model("vit_tiny_patch16_224", classes=6)
    np.savez(tmp_path / "Ti_16.npz", **flax_arrays(vit))
    built = build(tmp_path / "Ti_16.npz", architecture="vit_tiny_patch16_224", patch_size=8, num_classes=6)
    theirs = timm.create_model("vit_tiny_patch16_224", patch_size=8, num_classes=6)
    theirs.load_pretrained(str(tmp_path / "Ti_16.npz"))
    assert same_state(built.model, theirs)
    assert built.weights.patch_resampling == "the pseudo-inverse of a bilinear resize"
    assert built.weights.resized == ("patch_embed.proj.weight", "pos_embed")


def test_swin_takes_another_patch_as_timm_resamples_it(tmp_path: Path) -> None:
    arguments = {"img_size": 64, "depths": (1, 1, 2, 1)}
    model = random_model("swin_tiny_patch4_window7_224", **arguments)
    folder = timm_folder(tmp_path / "swin", model, **arguments)
    built = build(folder, patch_size=2)
    assert built.weights.patch_resampling == METHOD
    assert answer(built).shape == (2, 7)


def test_a_patch_that_cannot_be_is_refused_in_words(folders: dict[str, Path]) -> None:
    assert_refused(
        "vit_tiny_patch16_224", "patch_size: Input should be greater than or equal to 1, got 0", patch_size=0
    )
    assert_refused(folders["Ti"], "a patch of 300×300 pixels is larger than the image of 224×224", patch_size=300)
    assert_refused(folders["Ti"], "larger than the image of 20×64", patch_size=32, image_size=(20, 64), pad=True)
    assert_refused(
        folders["Ti"],
        "image size 224×224 is not a multiple of the 15×15 patch of vit_tiny_patch16_224; the nearest sizes are "
        "210×210 and 225×225\nhint: choose one of these sizes, or --set pad=true",
        patch_size=15,
    )


@pytest.mark.parametrize(
    "name", ["resnet18", "convnext_atto", "pvt_v2_b0", "vit_tiny_r_s16_p8_224", "test_efficientnet"]
)
def test_a_network_without_patches_is_refused_in_words(name: str) -> None:
    assert_refused(name, f"{name} cannot take patches of 8×8 pixels", patch_size=8, pretrained=False)


def test_without_the_setting_no_argument_is_added(tmp_path: Path) -> None:
    assert "patch_size" not in untrained("vit_tiny_patch16_224").model_args
    folder = timm_folder(tmp_path / "odd", random_model("vit_tiny_patch16_224", depth=1), depth=1)
    edit_config(folder, model_args={"depth": 1, "num_classes": 7})
    assert build(folder).weights.patch_resampling is None
