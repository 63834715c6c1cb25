"""A package is a folder of timm and of Hugging Face: their own loaders open it, and say what Vitrail says."""

import logging
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from tests.conftest import picture
from tests.unit.models.folders import same_state
from tests.unit.models.test_package import CLASSES, contents
from vitrail.models.catalogue import build_model
from vitrail.models.heads import feature_width, set_linear_head
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import read_package, write_package
from vitrail.models.parts.seen import Seen
from vitrail.models.plain_vit import PlainVitSettings, plain_vit
from vitrail.models.pretrained_folder import write_pretrained

MODELS: dict[str, tuple[str, dict]] = {
    "class token, another size": ("vit_tiny_patch16_224", {"image_size": 32}),
    "average pooling": ("test_vit", {"pooling": "avg"}),
    "attention pooling": ("test_vit", {"pooling": "map", "image_size": 64}),
    "padded size": ("test_vit", {"image_size": (41, 50), "pad": True}),
    "no position": ("test_vit", {"position": "none", "image_size": (48, 64)}),
    "two-dimensional position": ("test_vit", {"position": "2d", "image_size": 48}),
    "relative position": ("vit_tiny_patch16_224", {"position": "relative", "image_size": 32}),
    "two classifiers": ("deit_tiny_distilled_patch16_224", {"image_size": 32}),
    "swin": ("swin_tiny_patch4_window7_224", {"image_size": 64}),
    "resnet": ("test_resnet", {"image_size": (50, 70)}),
    "convnext": ("test_convnext", {"image_size": 70}),
    "efficientnet": ("test_efficientnet", {}),
}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("model", MODELS)
def test_hugging_face_and_timm_open_a_package_and_give_its_answers(model: str, tmp_path: Path) -> None:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    name, settings = MODELS[model]
    torch.manual_seed(0)
    built = build_model(ModelSettings.parse(name=name, pretrained=False, **settings), num_classes=10)
    set_linear_head(built.model, torch.randn(3, feature_width(built.model)), torch.randn(3))
    shown = built.preprocessing.model_copy(update={"mean": (0.1, 0.2, 0.3), "std": (0.3, 0.4, 0.5)})
    folder = tmp_path / "package"
    write_package(folder, built, contents=contents(shown), parts=[Seen.of(["0" * 32], seed=0, fingerprint="x")])

    image = picture(1, size=(90, 70))
    theirs = AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = AutoImageProcessor.from_pretrained(folder)(image)["pixel_values"]
    ours = torch.from_numpy(shown.pixels(image).astype(np.float32)).permute(2, 0, 1) / 255
    ours = (ours - torch.tensor(shown.mean)[:, None, None]) / torch.tensor(shown.std)[:, None, None]
    torch.testing.assert_close(pixels[0], ours, rtol=0, atol=1e-6)
    with torch.inference_mode():
        expected = built.model(pixels)
        assert torch.equal(read_package(folder).load_model()(pixels), expected)
        # Hugging Face lays weights elsewhere in memory, which may change the order of a sum: same bits, same answers.
        torch.testing.assert_close(theirs(pixels).logits, expected, rtol=1e-6, atol=1e-6)
        assert same_state(theirs.timm_model, read_package(folder).load_model())
        assert torch.equal(timm.create_model(f"local-dir:{folder}", pretrained=True).eval()(pixels), expected)
    assert theirs.config.id2label == dict(enumerate(CLASSES))
    assert theirs.config.label2id == {name: index for index, name in enumerate(CLASSES)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_hugging_face_opens_a_grey_package(tmp_path: Path) -> None:
    from transformers import AutoModelForImageClassification

    built = build_model(ModelSettings(name="test_vit", pretrained=False), num_classes=3)
    grey = timm.create_model("test_vit", num_classes=3, in_chans=1).eval()
    shown = built.preprocessing.model_copy(update={"channels": 1, "mean": (0.5,), "std": (0.5,)})
    object.__setattr__(built, "model", grey)
    write_package(tmp_path / "package", built, contents=contents(shown))
    theirs = AutoModelForImageClassification.from_pretrained(tmp_path / "package").eval()
    x = torch.randn(2, 1, 160, 160)
    with torch.inference_mode():
        assert torch.equal(theirs(x).logits, grey(x))
        assert torch.equal(read_package(tmp_path / "package").load_model()(x), grey(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_hugging_face_opens_pretrained_weights_without_classifier(tmp_path: Path) -> None:
    from transformers import AutoModel

    built = plain_vit(PlainVitSettings(width=24, depth=2, heads=2, patch=8), sizes=(16,), classes=5, seed=0)
    write_pretrained(tmp_path / "weights", built, card="# x\n", facts={}, kept_in="float32")
    theirs = AutoModel.from_pretrained(tmp_path / "weights").eval()
    x = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        expected = built.model.forward_head(built.model.forward_features(x), pre_logits=True)
        assert torch.equal(theirs(x).pooler_output, expected)
