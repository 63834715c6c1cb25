import argparse
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

from tests.unit.models.folders import ARCHITECTURES, SMALL, random_model, same_state, timm_folder, weights_file
from vitrail.basics.errors import InputError
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings
from vitrail.models.weights import WeightReport, load_weights, read_weights


class Trap:
    """Unpickling this would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_real_vit_tiny_weights_load_exactly_as_timm_loads_them(real_data: Path) -> None:
    name = f"local-dir:{real_data / 'vit_tiny_in1k'}"
    built = build_model(ModelSettings(name=name))
    assert same_state(built.model, timm.create_model(name, pretrained=True))
    assert built.weights == WeightReport(source="vit_tiny_in1k/model.safetensors", used=152)
    assert not built.model.training


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_weights_saved_as_a_timm_folder_come_back_bit_equal(family: str, tmp_path: Path) -> None:
    architecture, arguments = ARCHITECTURES[family]
    model = random_model(architecture, **arguments)
    built = build_model(ModelSettings(name=str(timm_folder(tmp_path / "folder", model, **arguments))))
    assert same_state(built.model, model)
    assert built.weights == WeightReport(source="folder/model.safetensors", used=len(model.state_dict()))


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_a_classifier_of_other_width_is_dropped_reported_and_starts_anew(family: str, tmp_path: Path) -> None:
    architecture, arguments = ARCHITECTURES[family]
    model = random_model(architecture, **arguments)
    folder = timm_folder(tmp_path / "folder", model, **arguments)
    built = build_model(ModelSettings(name=str(folder)), num_classes=3)
    heads = {name for name in model.state_dict() if model.state_dict()[name].shape[:1] == (7,)}
    assert set(built.weights.dropped) == set(built.weights.initialised) == heads
    assert built.weights.used == len(model.state_dict()) - len(heads)
    new, old = built.model.state_dict(), model.state_dict()
    assert all(torch.equal(new[name], old[name]) for name in new if name not in heads)
    assert all(torch.isfinite(new[name]).all() and new[name].shape[0] == 3 for name in heads)


def test_statistics_of_batch_norms_are_loaded_and_counters_too(tmp_path: Path) -> None:
    model = random_model("resnet18")
    fresh = timm.create_model("resnet18", num_classes=7)
    report = load_weights(fresh, model.state_dict(), architecture="resnet18", source="test")
    assert torch.equal(fresh.bn1.running_var, model.bn1.running_var)
    assert fresh.bn1.num_batches_tracked == 11
    assert report.used == len(model.state_dict()) and report.initialised == ()


def test_what_the_file_lacks_keeps_its_initial_value_and_is_reported() -> None:
    model = random_model("vit_tiny_patch16_224", **SMALL)
    tensors = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("blocks.1.mlp.fc1")}
    fresh = random_model("vit_tiny_patch16_224", seed=5, **SMALL)
    before = fresh.blocks[1].mlp.fc1.weight.clone()
    report = load_weights(
        fresh, {**tensors, "mystery": torch.ones(2)}, architecture="vit_tiny_patch16_224", source="it"
    )
    assert torch.equal(fresh.blocks[1].mlp.fc1.weight, before)
    assert report.initialised == ("blocks.1.mlp.fc1.bias", "blocks.1.mlp.fc1.weight")
    assert report.dropped == ("mystery",)
    assert report.used == len(model.state_dict()) - 2
    assert report.summary() == (
        f"it: {report.used} tensors used; dropped 1 (mystery); new 2 (blocks.1.mlp.fc1.bias, blocks.1.mlp.fc1.weight)"
    )


def test_a_position_table_of_another_grid_is_resampled_as_timm_does_it(tmp_path: Path) -> None:
    model = random_model("vit_tiny_patch16_224", **SMALL)
    folder = timm_folder(tmp_path / "folder", model, **SMALL)
    built = build_model(ModelSettings(name=str(folder), image_size=80))
    own = timm.create_model(f"local-dir:{folder}", pretrained=True, img_size=80)
    assert same_state(built.model, own)
    assert built.weights.resized == ("pos_embed",)
    assert built.weights.position_resampling == "bicubic interpolation, antialiased"
    assert "resized 1 (pos_embed) by bicubic interpolation, antialiased" in built.weights.summary()


def test_a_grid_of_equal_count_but_other_shape_is_resampled_too(tmp_path: Path) -> None:
    model = random_model("vit_tiny_patch16_224", img_size=64, depth=1)
    folder = timm_folder(tmp_path / "folder", model, img_size=64, depth=1)
    built = build_model(ModelSettings(name=str(folder), image_size=(128, 32)))
    assert built.weights.resized == ("pos_embed",)
    assert built.model.pos_embed.shape == model.pos_embed.shape
    assert not torch.equal(built.model.pos_embed, model.pos_embed)


def test_relative_tables_of_swin_are_resampled_and_named(tmp_path: Path) -> None:
    name, arguments = ARCHITECTURES["swin"]
    model = random_model(name, **{**arguments, "window_size": 4})
    model.layers[0].blocks[0].attn.relative_position_bias_table.data[:] = torch.tensor([1.0, 2.0, 3.0])
    fresh = timm.create_model(name, num_classes=7, **arguments)
    report = load_weights(fresh, model.state_dict(), architecture=name, source="it")
    table = fresh.layers[0].blocks[0].attn.relative_position_bias_table
    torch.testing.assert_close(table.detach(), torch.tensor([1.0, 2.0, 3.0]).expand(13 * 13, -1), msg="constants stay")
    # The windows of the last two stages are cut to their small maps, 4 and 2 patches wide, whatever was asked for.
    assert report.resized == tuple(f"layers.{stage}.blocks.0.attn.relative_position_bias_table" for stage in (0, 1))
    assert report.position_resampling == "linear interpolation on a geometric grid"


def test_patch_embeddings_are_resized_to_another_patch_and_reported() -> None:
    model = random_model("vit_tiny_patch16_224", **SMALL)
    fresh = timm.create_model("vit_tiny_patch16_224", num_classes=7, img_size=96, patch_size=32, depth=2)
    report = load_weights(fresh, model.state_dict(), architecture="vit_tiny_patch16_224", source="it")
    assert report.resized == ("patch_embed.proj.weight",)


def test_half_precision_weights_load_into_a_float32_model_without_being_called_resized() -> None:
    model = random_model("vit_tiny_patch16_224", **SMALL)
    halves = {name: tensor.half() for name, tensor in model.state_dict().items()}
    report = load_weights(model, halves, architecture="vit_tiny_patch16_224", source="it")
    assert report.resized == () and model.head.weight.dtype == torch.float32


@pytest.mark.parametrize("other", ["vit_small_patch16_224", "resnet18", "convnext_atto"])
def test_weights_of_another_network_are_refused_and_the_model_is_left_as_it_was(other: str) -> None:
    fresh = random_model("vit_tiny_patch16_224", **SMALL)
    before = {name: tensor.clone() for name, tensor in fresh.state_dict().items()}
    foreign = random_model(other, seed=2).state_dict()
    with pytest.raises(
        InputError, match=r"a\.pth: these weights do not fit vit_tiny_patch16_224: .*\nhint: name the arch"
    ):
        load_weights(fresh, foreign, architecture="vit_tiny_patch16_224", source="a.pth")
    assert all(torch.equal(tensor, before[name]) for name, tensor in fresh.state_dict().items())


def test_original_deit3_names_are_converted_like_timm_does() -> None:
    arguments = {"img_size": 48, "depth": 2, "init_values": 1e-6}
    model = random_model("deit3_small_patch16_224", **arguments)
    original = {name.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): tensor
                for name, tensor in model.state_dict().items()}  # fmt: skip
    fresh = timm.create_model("deit3_small_patch16_224", num_classes=7, **arguments)
    report = load_weights(fresh, original, architecture="deit3_small_patch16_224", source="it")
    assert same_state(fresh, model)
    assert report == WeightReport("it", used=len(original))


def test_a_pytorch_file_of_tensors_is_read_also_as_a_training_checkpoint(tmp_path: Path) -> None:
    model = random_model("vit_tiny_patch16_224", **SMALL)
    averaged = {f"module.{name}": tensor + 1 for name, tensor in model.state_dict().items()}
    torch.save(model.state_dict(), tmp_path / "plain.pth")
    torch.save(
        {"state_dict": model.state_dict(), "state_dict_ema": averaged, "args": argparse.Namespace(lr=1), "epoch": 3},
        tmp_path / "training.pth.tar",
    )
    assert read_weights(tmp_path / "plain.pth").keys() == model.state_dict().keys()
    assert torch.equal(read_weights(tmp_path / "training.pth.tar")["head.bias"], model.head.bias + 1)


def test_a_pickle_renamed_safetensors_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    with pytest.raises(InputError, match=r"model\.safetensors: not a readable safetensors file .*\nhint: download it"):
        read_weights(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("save", [lambda thing, path: path.write_bytes(pickle.dumps(thing)), torch.save])
def test_a_pth_that_holds_more_than_tensors_is_refused_and_not_run(tmp_path: Path, save) -> None:
    path = tmp_path / "model.pth"
    save({"weight": torch.ones(1), "extra": Trap(tmp_path / "ran")}, path)
    with pytest.raises(
        InputError, match=r"model\.pth: not a file of tensors alone, nothing in it was run .*\nhint: conv"
    ):
        read_weights(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("kept", [0, 5, 200, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    whole = tmp_path / f"whole{suffix}"
    state = random_model("test_vit").state_dict()
    safetensors.torch.save_file(state, whole) if suffix == ".safetensors" else torch.save(state, whole)
    content = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(InputError, match=rf"cut\{suffix}: not a "):
        read_weights(cut)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path, bad: float) -> None:
    model = random_model("test_vit")
    model.head.bias.data[2] = bad
    with pytest.raises(
        InputError, match=r"head\.bias holds NaN or infinity, finite weights were expected\nhint: the train"
    ):
        read_weights(weights_file(tmp_path / "model.safetensors", model))


def test_a_file_without_tensors_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match=r"none\.pth: holds no tensors\nhint"):
        read_weights(tmp_path / "none.pth")
    with pytest.raises(InputError, match=r"list\.pth: not a file of tensors"):
        read_weights(tmp_path / "list.pth")
    with pytest.raises(InputError, match=r"gone\.pth: no such weights file\nhint"):
        read_weights(tmp_path / "gone.pth")


def test_weights_in_whole_numbers_are_refused_for_their_scale_is_not_known() -> None:
    built = random_model("vit_tiny_patch16_224", **SMALL)
    tensors = {name: tensor.to(torch.int8) for name, tensor in built.state_dict().items()}
    told = (
        r"^q.safetensors: cls_token is int8, floating-point weights were expected\nhint: take the weights from before"
    )
    with pytest.raises(InputError, match=told):
        load_weights(built, tensors, architecture="vit_tiny_patch16_224", source="q.safetensors")
