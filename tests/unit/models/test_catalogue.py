import json
import socket
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants

from tests.unit.models.folders import SMALL, edit_config, random_model, same_state, timm_folder, weights_file
from vitrail.basics.errors import InputError, SettingsError, SystemFault
from vitrail.basics.files import sha256_of
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings
from vitrail.models.ready import ReadyModel


def build(name: str | Path, *, num_classes: int | None = None, **settings) -> ReadyModel:
    return build_model(ModelSettings.parse(name=str(name), **settings), num_classes=num_classes)


def untrained(name: str, *, num_classes: int | None = 3, **settings) -> ReadyModel:
    return build(name, pretrained=False, num_classes=num_classes, **settings)


def answer(built: ReadyModel) -> torch.Tensor:
    shape = (2, built.preprocessing.channels, built.preprocessing.height, built.preprocessing.width)
    with torch.inference_mode():
        return built.model(torch.randn(shape, generator=torch.Generator().manual_seed(0)))


def assert_refused(name: str | Path, text: str, **settings) -> None:
    with pytest.raises(InputError) as raised:
        build(name, **settings)
    assert text in str(raised.value)
    assert "\nhint: " in str(raised.value)


@pytest.fixture
def vit_folder(tmp_path: Path) -> Path:
    return timm_folder(tmp_path / "small_vit", random_model("vit_tiny_patch16_224", **SMALL), **SMALL)


def test_the_same_folder_is_found_with_and_without_its_prefix(vit_folder: Path) -> None:
    assert same_state(build(vit_folder).model, build(f"local-dir:{vit_folder}").model)


def test_architecture_and_arguments_build_the_same_modules_and_survive_json(vit_folder: Path) -> None:
    built = build(vit_folder, image_size=64, pooling="avg", num_classes=2)
    arguments = json.loads(json.dumps(built.model_args))
    again = timm.create_model(built.architecture, **arguments)
    again.load_state_dict(built.model.state_dict())
    assert [(n, type(m)) for n, m in again.named_modules()] == [(n, type(m)) for n, m in built.model.named_modules()]
    assert json.loads(json.dumps(built.pretrained_cfg)) == built.pretrained_cfg


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_bare_weights_file_is_read_with_its_architecture_named(tmp_path: Path, suffix: str) -> None:
    model = random_model("test_vit", classes=1000)
    path = tmp_path / f"mine{suffix}"
    weights_file(path, model) if suffix == ".safetensors" else torch.save(model.state_dict(), path)
    built = build(path, architecture="test_vit")
    assert same_state(built.model, model)
    assert built.weights.source == f"mine{suffix}"
    assert built.weights_sha256 == sha256_of(path)


def test_preprocessing_follows_the_weights_and_the_image_size(vit_folder: Path) -> None:
    config = json.loads((vit_folder / "config.json").read_text())
    described = config["pretrained_cfg"] | {
        "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "crop_pct": 0.8, "crop_mode": "squash",
        "interpolation": "bilinear",
    }  # fmt: skip
    edit_config(vit_folder, pretrained_cfg=described)
    shown = build(vit_folder, image_size=(64, 32)).preprocessing
    assert (shown.height, shown.width, shown.channels) == (64, 32, 3)
    assert (shown.mean, shown.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (shown.crop_fraction, shown.crop_mode, shown.interpolation) == (0.8, "squash", "bilinear")


def test_real_weights_bring_their_own_mean_and_std(real_data: Path) -> None:
    built = build(real_data / "vit_tiny_in1k")
    assert built.preprocessing.mean == built.preprocessing.std == (0.5, 0.5, 0.5)
    assert built.pretrained_cfg["tag"] == "augreg_in21k_ft_in1k"
    assert built.pretrained_cfg["license"] == "apache-2.0"
    assert not any(str(real_data) in str(value) for value in [*built.pretrained_cfg.values(), built.weights])


def test_the_description_tells_the_size_and_classes_the_model_now_has(vit_folder: Path) -> None:
    described = build(vit_folder, image_size=80, num_classes=4).pretrained_cfg
    assert described["input_size"] == [3, 80, 80]
    assert described["num_classes"] == 4
    assert described["architecture"] == "vit_tiny_patch16_224"
    assert not {"url", "file", "source", "hf_hub_id", "state_dict"} & described.keys()


def test_without_weights_the_model_is_random_and_says_so() -> None:
    torch.manual_seed(1)
    built = untrained("test_vit")
    torch.manual_seed(1)
    again = untrained("test_vit")
    other = untrained("test_vit")
    assert built.weights.used == 0 and built.weights.source == "random initialisation"
    assert set(built.weights.initialised) == set(built.model.state_dict())
    assert built.weights_sha256 == again.weights_sha256 != other.weights_sha256


@pytest.mark.parametrize("name", ["convnext_atto", "resnet18", "pvt_v2_b0"])
def test_networks_without_patches_take_any_size_and_padding_changes_nothing(name: str) -> None:
    assert answer(untrained(name, image_size=70)).shape == (2, 3)
    assert answer(untrained(name, image_size=(70, 45), pad=True)).shape == (2, 3)


def test_swin_takes_other_sizes_that_its_patch_divides() -> None:
    assert answer(untrained("swin_tiny_patch4_window7_224", image_size=(64, 96))).shape == (2, 3)


def test_a_size_the_patch_does_not_divide_names_the_two_nearest_and_padding() -> None:
    text = (
        "image size 225×225 is not a multiple of the 16×16 patch of vit_tiny_patch16_224; "
        "the nearest sizes are 224×224 and 240×240\n"
        "hint: choose one of these sizes, or --set pad=true to fill up the last patches"
    )
    assert_refused("vit_tiny_patch16_224", text, image_size=225, pretrained=False)
    assert_refused("vit_tiny_patch16_224", "are 16×32 and 16×48", image_size=(5, 33), pretrained=False)
    assert_refused(
        "vit_tiny_r_s16_p8_224", "the 32×32 patch of vit_tiny_r_s16_p8_224", image_size=225, pretrained=False
    )
    assert_refused("swin_tiny_patch4_window7_224", "hint: choose one of these sizes", image_size=226, pretrained=False)


def test_padding_takes_any_size_and_the_table_has_the_padded_grid() -> None:
    built = untrained("vit_tiny_patch16_224", image_size=(41, 50), pad=True)
    assert answer(built).shape == (2, 3)
    assert built.model.pos_embed.shape[1] == 1 + 3 * 4
    assert (built.preprocessing.height, built.preprocessing.width) == (41, 50)


def test_padding_is_with_zeros_at_the_right_and_lower_edge() -> None:
    built = untrained("vit_tiny_patch16_224", image_size=41, pad=True)
    x = torch.randn(1, 3, 41, 41)
    with torch.inference_mode():
        by_hand = built.model(torch.nn.functional.pad(x, (0, 7, 0, 7)))
        assert torch.equal(built.model(x), by_hand)


def test_average_pooling_keeps_the_norm_that_class_token_weights_were_trained_with(vit_folder: Path) -> None:
    built = build(vit_folder, pooling="avg")
    assert built.weights.initialised == ()
    model, x = built.model, torch.randn(2, 3, 48, 48)
    with torch.inference_mode():
        tokens = model.forward_features(x)
        assert torch.equal(tokens, build(vit_folder).model.forward_features(x))
        torch.testing.assert_close(model(x), model.head(tokens[:, 1:].mean(dim=1)))


def test_average_pooling_of_weights_with_a_pooled_norm_keeps_that_norm(tmp_path: Path) -> None:
    pooled = {**SMALL, "global_pool": "avg", "fc_norm": True}
    folder = timm_folder(tmp_path / "gap", random_model("vit_tiny_patch16_224", **pooled), **pooled)
    built = build(folder, pooling="avg")
    assert built.weights.initialised == built.weights.dropped == ()
    assert built.model_args["fc_norm"] is True


def test_attention_pooling_starts_anew_and_is_reported(vit_folder: Path) -> None:
    built = build(vit_folder, pooling="map")
    assert all(name.startswith("attn_pool.") for name in built.weights.initialised)
    assert answer(built).shape == (2, 7)


def test_drop_path_rises_linearly_with_depth_and_zero_means_none() -> None:
    from timm.layers import DropPath

    built = untrained("vit_tiny_patch16_224", image_size=32, drop_path=0.22)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in built.model.blocks]
    assert rates == pytest.approx([0.02 * index for index in range(12)])
    swin = untrained("swin_tiny_patch4_window7_224", image_size=64).model
    assert not any(isinstance(module, DropPath) for module in swin.modules())
    with pytest.raises(SettingsError, match="drop_path: Input should be less than 1"):
        untrained("test_vit", drop_path=1.0)


@pytest.mark.parametrize("off", [None, 0, 0.0, "none", "None", "off"])
@pytest.mark.parametrize("name", ["drop_path", "dropout", "attention_dropout"])
def test_none_and_zero_mean_off_and_one_is_refused(name: str, off: object) -> None:
    assert getattr(ModelSettings.parse(name="test_vit", **{name: off}), name) == 0.0
    for wrong in (1.0, 1, -0.1, "nan", "much"):
        with pytest.raises(SettingsError, match=f"{name}: Input should be"):
            ModelSettings.parse(name="test_vit", **{name: wrong})


def rates_of(model: torch.nn.Module) -> dict[str, float]:
    return {path: module.p for path, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}


def test_dropout_stands_behind_positions_and_projections_and_attention_has_its_own() -> None:
    settings = {"image_size": 32, "pretrained": False}
    rates = rates_of(build("vit_tiny_patch16_224", dropout=0.1, attention_dropout=0.2, **settings).model)
    block = {"attn.attn_drop": 0.2, "attn.proj_drop": 0.1, "mlp.drop1": 0.1, "mlp.drop2": 0.1}
    inside = {f"blocks.{index}.{name}": rate for index in range(12) for name, rate in block.items()}
    assert rates == {"pos_drop": 0.1, **inside, "head_drop": 0.0}
    for position in ("relative", "2d", "none"):
        rates = rates_of(build("vit_tiny_patch16_224", dropout=0.1, position=position, **settings).model)
        assert rates["blocks.3.mlp.drop2"] == 0.1
    assert not any(rates_of(build("vit_tiny_patch16_224", **settings).model).values())


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "pvt_v2_b0", "deit_tiny_distilled_patch16_224"])
def test_dropout_reaches_the_relatives_of_the_vit(name: str) -> None:
    model = untrained(name, dropout=0.1, attention_dropout=0.2).model
    assert {0.1, 0.2} <= set(rates_of(model).values())


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "test_efficientnet"])
def test_a_network_without_dropout_inside_is_refused_in_words(name: str) -> None:
    for setting, place in (("dropout", "projections"), ("attention_dropout", "attention")):
        with pytest.raises(InputError) as fault:
            untrained(name, **{setting: 0.1})
        assert str(fault.value) == (
            f"{name} cannot be built with {setting} 0.1: it has no dropout in its {place}\n"
            f"hint: leave {setting} out, or choose a plain ViT such as vit_tiny_patch16_224"
        )


def test_dropout_is_off_in_evaluation_and_is_no_argument_of_a_package(vit_folder: Path) -> None:
    built, plain = build(vit_folder, dropout=0.5, attention_dropout=0.5), build(vit_folder)
    assert torch.equal(answer(built), answer(plain))
    assert built.model_args == plain.model_args
    assert not torch.equal(built.model.train()(torch.ones(1, 3, 48, 48)), plain.model.train()(torch.ones(1, 3, 48, 48)))


def test_how_weights_were_trained_before_is_not_how_they_are_trained_here(vit_folder: Path) -> None:
    arguments = json.loads((vit_folder / "config.json").read_text())["model_args"]
    edit_config(vit_folder, model_args=arguments | {"drop_path_rate": 0.5, "proj_drop_rate": 0.3, "pos_drop_rate": 0.3})
    built = build(vit_folder)
    assert not any(rates_of(built.model).values())
    assert not any("drop_path" in path and getattr(m, "drop_prob", 0) for path, m in built.model.named_modules())
    assert not any("drop" in name for name in built.model_args)
    assert set(rates_of(build(vit_folder, dropout=0.1).model).values()) == {0.0, 0.1}


def test_a_network_without_drop_path_is_built_when_none_is_asked_for() -> None:
    assert untrained("vgg11").architecture == "vgg11"
    assert_refused("vgg11", "vgg11 cannot be built with drop_path 0.1: ", drop_path=0.1, pretrained=False)


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        ("resnet18", {"pooling": "token"}, "resnet18 cannot be built with pooling token: Invalid pool type: token"),
        ("deit_tiny_distilled_patch16_224", {"pooling": "avg"}, "The distilled head reads the class and distillation"),
        (
            "swin_tiny_patch4_window7_224",
            {"pad": True, "image_size": 65},
            "be built with image_size 65, pad True",
        ),
    ],
)
def test_a_setting_the_network_cannot_take_is_named_with_the_reason(name: str, settings: dict, text: str) -> None:
    assert_refused(name, text, pretrained=False, **settings)


def test_an_unknown_name_gets_the_nearest_names() -> None:
    assert_refused("vit_tiny_patch16_22", "neither a folder nor a model that timm")
    assert_refused("startr", "did you mean starter")
    assert_refused("vit_tiny_patch16_22", "did you mean vit_tiny_patch16_224")
    assert_refused("vit_tinny_patch16_224.augreg_in21k", "did you mean vit_tiny_patch16_224.augreg_in21k")
    assert_refused("runs/nothing", "hint: check the path; a model on the hub is hf-hub:runs/nothing")


def test_an_unknown_tag_lists_the_tags_there_are() -> None:
    text = "vit_tiny_patch16_224 has no weights called 'augreg'; it has augreg_in21k_ft_in1k, augreg_in21k"
    assert_refused("vit_tiny_patch16_224.augreg", text)


def test_a_name_with_a_tag_is_built_without_weights_too() -> None:
    built = untrained("vit_tiny_patch16_224.augreg_in21k", num_classes=None)
    assert built.pretrained_cfg["tag"] == "augreg_in21k" and built.model.num_classes == 21843


def test_a_name_that_has_no_weights_says_so() -> None:
    assert_refused("vit_base_patch32_plus_256", "timm has no pretrained weights for vit_base_patch32_plus_256")


def test_a_folder_without_its_parts_names_the_missing_one(tmp_path: Path, vit_folder: Path) -> None:
    assert_refused(tmp_path, "is not a timm folder: config.json is missing")
    assert_refused(
        f"local-dir:{tmp_path / 'gone'}",
        f"{tmp_path / 'gone'} does not exist\nhint: check the path; local-dir: is followed by a timm folder",
    )
    (vit_folder / "model.safetensors").unlink()
    assert_refused(vit_folder, "is not a complete timm folder: model.safetensors is missing")
    assert build(vit_folder, pretrained=False).weights.used == 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"architecture": "test_vit", "pretrained_cfg": 3}', "{}"])
def test_a_broken_description_is_refused(vit_folder: Path, content: str) -> None:
    (vit_folder / "config.json").write_text(content)
    assert_refused(vit_folder, "config.json is not a timm model description")


def test_a_description_of_an_unknown_architecture_gets_the_nearest_names(vit_folder: Path) -> None:
    edit_config(vit_folder, architecture="vit_tiny_patch16_225")
    assert_refused(vit_folder, "did you mean vit_tiny_patch16_224")


def test_a_bare_file_without_architecture_and_a_name_with_one_are_refused(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "mine.safetensors", random_model("test_vit"))
    assert_refused(path, "holds weights only; the architecture they belong to was expected")
    assert_refused("test_vit", "architecture 'test_vit2' was given beside 'test_vit'", architecture="test_vit2")
    for architecture in ({}, {"architecture": "test_vit"}):
        gone = tmp_path / "gone.pth"
        assert_refused(gone, f"{gone} does not exist\nhint: check the path", **architecture)


def test_what_is_there_and_is_no_model_is_not_looked_for_on_the_hub(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n")
    assert_refused(
        table,
        f"{table} is no model: a folder or a file with weights was expected\n"
        "hint: files with weights end in .safetensors, .npz, .pth, .pt, .bin, .tar",
    )
    with pytest.raises(InputError) as error:
        build(tmp_path / "models" / "gone")
    assert str(error.value).endswith("\nhint: check the path")
    with pytest.raises(InputError) as error:
        ModelSettings.parse(name=random_model("test_vit"))
    assert str(error.value) == (
        "the model was given as VisionTransformer; a name, a folder or a weights file was expected\n"
        "hint: a model in memory is for vitrail.create_feature_extractor; timm.models.save_for_hf writes it into a "
        "folder, which is named local-dir:FOLDER"
    )


def test_without_a_network_the_fault_is_plain_and_quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as closed:  # a port nobody listens on stands for a network that is down
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("vit_tiny_patch16_224", "hf-hub:timm/resnet18.a1_in1k"):
        with pytest.raises(SystemFault) as raised:
            build(name)
        assert str(raised.value).startswith("no network: the weights of timm/")
        assert "are not on this machine and 127.0.0.1 does not answer\nhint: --model starter needs no network" in str(
            raised.value
        )
