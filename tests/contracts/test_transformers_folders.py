"""Folders of the transformers library: the same answers as that library's own, or a refusal in words."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.conftest import picture
from tests.unit.models.test_package import contents
from vitrail.basics.errors import InputError
from vitrail.models.catalogue import build_model
from vitrail.models.heads import set_linear_head
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import read_package, write_package
from vitrail.models.ready import ReadyModel

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SIDE = 32
VIT: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40, "image_size": SIDE,
    "patch_size": 8, "num_labels": 3,
}  # fmt: skip
DINO = {name: value for name, value in VIT.items() if name != "intermediate_size"} | {"mlp_ratio": 3}
MODELS: dict[str, tuple[str, str, dict]] = {
    "vit": ("ViTForImageClassification", "ViTConfig", VIT),
    "vit of another kind": ("ViTForImageClassification", "ViTConfig",
        VIT | {"qkv_bias": False, "hidden_act": "gelu_new", "layer_norm_eps": 0.05}),
    "vit without classifier": ("ViTModel", "ViTConfig", VIT | {"hidden_act": "quick_gelu"}),
    "deit": ("DeiTForImageClassification", "DeiTConfig", VIT),
    "deit with teacher": ("DeiTForImageClassificationWithTeacher", "DeiTConfig", VIT),
    "deit without classifier": ("DeiTModel", "DeiTConfig", VIT),
    "dinov2": ("Dinov2Model", "Dinov2Config", DINO),
    "dinov2 with gates": ("Dinov2Model", "Dinov2Config", DINO | {"use_swiglu_ffn": True}),
    "dinov2 with classifier": ("Dinov2ForImageClassification", "Dinov2Config", DINO),
    "dinov2 with registers": ("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig",
        DINO | {"num_register_tokens": 2}),
}  # fmt: skip
SQUASHED = {
    "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": SIDE, "width": SIDE},
    "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.5],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)


def theirs(kind: str) -> Any:
    """A model of the transformers library, all its tensors random and large enough to matter."""
    model_class, config_class, values = MODELS[kind]
    config = getattr(transformers, config_class)(**values)
    torch.manual_seed(0)
    model = getattr(transformers, model_class)(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def folder_of(model: Any, folder: Path, pictures: dict | None = None) -> Path:
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures or SQUASHED))
    return folder


def built_of(folder: Path, **settings: Any) -> ReadyModel:
    return build_model(ModelSettings.parse(name=f"local-dir:{folder}", **settings))


def edited(folder: Path, file: str, **changes: Any) -> None:
    written = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**written, **changes}))


def retold(folder: Path, change: Any) -> None:
    """Rewrite the weights file."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    safetensors.torch.save_file(change(tensors), folder / "model.safetensors")


def assert_refused(folder: Path, *texts: str, **settings: Any) -> None:
    with pytest.raises(InputError) as raised:
        built_of(folder, **settings)
    for text in (*texts, "\nhint: "):
        assert text in str(raised.value)


@pytest.mark.parametrize("side", [SIDE, 48])
@pytest.mark.parametrize("kind", MODELS)
def test_a_folder_of_transformers_gives_that_librarys_own_answers(kind: str, side: int, tmp_path: Path) -> None:
    model = theirs(kind)
    built = built_of(folder_of(model, tmp_path / "theirs"), image_size=side)
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    other_size = {} if side == SIDE or "dino" in kind else {"interpolate_pos_encoding": True}
    ours: Any = built.model
    with torch.inference_mode():
        answer = model(x, output_hidden_states=True, **other_size)
        if "logits" in answer and ours.num_classes:
            torch.testing.assert_close(ours(x), answer.logits, rtol=1e-5, atol=1e-5)
        tokens = answer.last_hidden_state if "last_hidden_state" in answer else answer.hidden_states[-1]
        if "last_hidden_state" not in answer:
            tokens = getattr(model, model.base_model_prefix).layernorm(tokens)
        torch.testing.assert_close(ours.forward_features(x), tokens, rtol=1e-5, atol=1e-5)
    assert (answer.logits.std() if "logits" in answer else tokens.std()) > 0.1
    assert built.weights.initialised == ()
    known = {name.removeprefix(f"{model.base_model_prefix}.") for name in built.weights.dropped}
    assert known <= {"pooler.dense.bias", "pooler.dense.weight", "embeddings.mask_token"} | (
        {"classifier.weight", "classifier.bias"} if kind == "dinov2 with classifier" else set()
    )
    assert (built.weights.position_resampling is None) == (side == SIDE)


def test_weights_in_pytorchs_own_format_are_read_as_well(tmp_path: Path) -> None:
    model = theirs("vit")
    folder = folder_of(model, tmp_path / "theirs")
    torch.save(safetensors.torch.load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    x = torch.randn(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        torch.testing.assert_close(built_of(folder).model(x), model(x).logits, rtol=1e-5, atol=1e-5)


def test_norms_keep_their_epsilon_in_a_package_and_in_a_fit_from_that_package(tmp_path: Path) -> None:
    built = built_of(folder_of(theirs("vit of another kind"), tmp_path / "theirs"))
    set_linear_head(built.model, torch.randn(3, 16), torch.randn(3))
    write_package(tmp_path / "package", built, contents=contents(built.preprocessing))
    x = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        expected = built.model(x)
        assert torch.equal(read_package(tmp_path / "package").load_model()(x), expected)
        assert torch.equal(built_of(tmp_path / "package").model(x), expected)


def test_without_its_weights_a_folder_gives_the_same_network_with_random_ones(tmp_path: Path) -> None:
    folder = folder_of(theirs("vit"), tmp_path / "theirs")
    nothing, built = built_of(folder, pretrained=False), built_of(folder)
    assert nothing.weights.source == "random initialisation"
    assert nothing.model_args == built.model_args and nothing.norm_epsilon == built.norm_epsilon
    assert nothing.preprocessing == built.preprocessing


def test_class_names_come_with_the_weights(tmp_path: Path) -> None:
    folder = folder_of(theirs("vit"), tmp_path / "theirs")
    assert "label_names" not in built_of(folder).pretrained_cfg
    edited(folder, "config.json", id2label={"0": "ant", "2": "wasp", "1": "bee"})
    built = built_of(folder)
    assert built.pretrained_cfg["label_names"] == ["ant", "bee", "wasp"]
    assert built.pretrained_cfg["num_classes"] == 3


@pytest.mark.parametrize("position, pooling", [("2d", "weights"), ("none", "avg"), ("relative", "token")])
def test_a_folder_of_transformers_can_be_bent_like_any_other(position: str, pooling: str, tmp_path: Path) -> None:
    folder = folder_of(theirs("vit"), tmp_path / "theirs")
    built = built_of(folder, position=position, pooling=pooling)
    assert built.norm_epsilon == 1e-12
    assert all(module.eps == 1e-12 for module in built.model.modules() if isinstance(module, torch.nn.LayerNorm))
    with torch.inference_mode():
        assert torch.isfinite(built.model(torch.randn(1, 3, SIDE, SIDE))).all()


PICTURES: dict[str, tuple[str, dict]] = {
    "squashed": ("ViTImageProcessor", SQUASHED),
    "cropped": ("BitImageProcessor", SQUASHED | {
        "size": {"shortest_edge": 40}, "resample": 3, "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE},
    }),
    "squashed and cropped": ("DeiTImageProcessor", SQUASHED | {
        "size": {"height": 37, "width": 37}, "resample": 1, "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE},
    }),
    "of another scale": ("ViTImageProcessor", SQUASHED | {"rescale_factor": 1 / 127.5, "resample": 0}),
    "not rescaled": ("ViTImageProcessor", SQUASHED | {"do_rescale": False, "image_mean": [100.0, 90.0, 80.0],
                     "image_std": [50.0, 51.0, 52.0]}),
    "not normalised": ("ViTImageProcessor", SQUASHED | {"do_normalize": False}),
}  # fmt: skip


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_are_shown_as_the_librarys_processor_shows_them(kind: str, tmp_path: Path) -> None:
    name, values = PICTURES[kind]
    folder = folder_of(theirs("vit"), tmp_path / "theirs", values | {"image_processor_type": name})
    shown = built_of(folder).preprocessing
    # Where an odd number of pixels is cut away, timm and torchvision begin half a pixel later than transformers.
    image = picture(3, size=(96, 80))
    processor = getattr(transformers, f"{name}Pil", getattr(transformers, name)).from_pretrained(folder)
    expected = processor(image, return_tensors="pt")["pixel_values"][0]
    pixels = torch.from_numpy(shown.pixels(image).astype(np.float32)).permute(2, 0, 1) / 255
    pixels = (pixels - torch.tensor(shown.mean)[:, None, None]) / torch.tensor(shown.std)[:, None, None]
    torch.testing.assert_close(pixels, expected, rtol=1e-5, atol=1e-5)


def test_pictures_of_the_networks_own_size_are_left_as_they_are_where_nothing_is_resized(tmp_path: Path) -> None:
    folder = folder_of(theirs("vit"), tmp_path / "theirs", SQUASHED | {"do_resize": False})
    image = picture(3, size=(SIDE, SIDE))
    assert np.array_equal(built_of(folder).preprocessing.pixels(image), np.asarray(image.convert("RGB")))


def test_a_size_written_as_one_number_is_read_as_earlier_versions_meant_it(tmp_path: Path) -> None:
    shown = built_of(folder_of(theirs("vit"), tmp_path / "theirs", SQUASHED | {"size": SIDE})).preprocessing
    assert (shown.height, shown.width, shown.crop_mode, shown.interpolation) == (SIDE, SIDE, "squash", "bilinear")


def test_dinov2_takes_the_size_of_its_pictures_not_of_its_table(tmp_path: Path) -> None:
    cropped = PICTURES["cropped"][1] | {"crop_size": {"height": 24, "width": 24}}
    built = built_of(folder_of(theirs("dinov2"), tmp_path / "theirs", cropped))
    assert (built.preprocessing.height, built.preprocessing.resized) == (24, (40, 40))
    assert built.weights.position_resampling == "bicubic interpolation, as transformers does"


def test_a_refusal_is_said_once_with_one_hint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["SwinForImageClassification"], "model_type": "swin"}')
    with pytest.raises(InputError) as caught:
        build_model(ModelSettings(name=f"local-dir:{tmp_path}"))
    assert "is not a timm model description" not in str(caught.value)
    assert str(caught.value).count("hint:") == 1


def test_other_networks_of_transformers_are_refused_by_name(tmp_path: Path) -> None:
    folder = folder_of(theirs("vit"), tmp_path / "theirs")
    edited(folder, "config.json", model_type="swin", architectures=["SwinForImageClassification"])
    assert_refused(folder, "describes SwinForImageClassification, model_type 'swin', of the transformers library",
                   "read are ViTForImageClassification, ViTModel, DeiT")  # fmt: skip
    edited(folder, "config.json", model_type="vit", architectures=["ViTForMaskedImageModeling"])
    assert_refused(folder, "describes ViTForMaskedImageModeling")
    edited(folder, "config.json", architectures=None)
    assert_refused(folder, "a network without a name (architectures is missing)")


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"hidden_act": "mish"}, "hidden_act 'mish'; one of gelu,"),
        ({"num_attention_heads": 3}, "a hidden_size of 16 with 3 heads"),
        ({"head_dim": 4}, "a hidden_size of 16 with 2 heads of 4 values"),
        ({"layer_norm_eps": -1.0}, "layer_norm_eps"),
        ({"num_hidden_layers": "many"}, "num_hidden_layers"),
        ({"id2label": {"0": "a", "2": "b"}}, "without gaps"),
        ({"patch_size": 5000}, "patch_size"),
    ],
)
def test_a_network_that_timm_has_no_place_for_is_refused(changes: dict, text: str, tmp_path: Path) -> None:
    folder = folder_of(theirs("vit"), tmp_path / "theirs")
    edited(folder, "config.json", **changes)
    assert_refused(folder, "this ViTForImageClassification of the transformers library is not read here", text)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"resample": 5}, "resample"),
        ({"do_flip_channel_order": True}, "it asks for do_flip_channel_order, which is not done here"),
        ({"image_mean": [0.5]}, "1 and 3 values for 3 channels"),
        ({"size": {"shortest_edge": 40}}, "pictures would differ in size"),
        ({"size": {"longest_edge": 40}}, "height and width were expected"),
        ({"do_center_crop": True, "size": {"height": 40, "width": 50}, "crop_size": 32}, "differ in their proportions"),
        ({"do_center_crop": True, "size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 24}},
         "a square crop was expected"),
        ({"image_std": [0.0, 1.0, 1.0]}, "image_std"),
    ],
)  # fmt: skip
def test_pictures_that_cannot_be_shown_so_are_refused(changes: dict, text: str, tmp_path: Path) -> None:
    folder = folder_of(theirs("vit"), tmp_path / "theirs", SQUASHED | changes)
    assert_refused(folder, "theirs/preprocessor_config.json is not understood", text)


def test_without_its_preprocessor_a_folder_is_refused(tmp_path: Path) -> None:
    folder = folder_of(theirs("vit"), tmp_path / "theirs")
    (folder / "preprocessor_config.json").unlink()
    assert_refused(folder, "a folder of the transformers library without preprocessor_config.json")


def test_one_tensor_missing_too_many_or_of_another_shape_is_an_error_with_its_name(tmp_path: Path) -> None:
    folder = folder_of(theirs("vit"), tmp_path / "theirs")
    name = "vit.encoder.layer.1.attention.attention.key.weight"
    whole = safetensors.torch.load_file(folder / "model.safetensors")

    retold(folder, lambda tensors: {each: tensor for each, tensor in tensors.items() if each != name})
    assert_refused(folder, "theirs/model.safetensors: tensors are missing of ViTForImageClassification: "
                   "encoder.layer.1.attention.attention.key.weight")  # fmt: skip
    retold(folder, lambda _: {**whole, "vit.mystery": torch.ones(2)})
    assert_refused(folder, "tensors have no place in the network of ViTForImageClassification: mystery")
    for wrong in (name, "classifier.weight", "vit.embeddings.position_embeddings"):
        retold(folder, lambda _, wrong=wrong: {**whole, wrong: torch.ones(5, 7)})
        assert_refused(folder, "tensors are not of the shape of ViTForImageClassification", wrong.removeprefix("vit."))
    retold(folder, lambda _: {each: tensor for each, tensor in whole.items() if "classifier" not in each})
    assert_refused(folder, "tensors are missing", "classifier.weight")
    retold(folder, lambda _: {each: tensor for each, tensor in whole.items() if "layer.1." not in each})
    assert_refused(folder, "tensors are missing", "and 10 more")
