from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.unit.models.folders import random_model, same_state
from vitrail.basics.errors import InputError
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings

PREFIXES = (
    "module.",
    "model.",
    "backbone.",
    "encoder.",
    "_orig_mod.",
    "student.backbone.",
    "teacher.",
    "a.b.c.",
    "net.module.",
)


def written(path: Path, state: dict[str, torch.Tensor]) -> Path:
    safetensors.torch.save_file({name: tensor.clone() for name, tensor in state.items()}, path)
    return path


@pytest.mark.parametrize("prefix", PREFIXES)
def test_weights_under_one_prefix_are_loaded_and_what_stands_beside_is_reported(tmp_path: Path, prefix: str) -> None:
    model = random_model("test_vit", classes=1000)
    state = {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}
    file = written(tmp_path / "mine.safetensors", {**state, "projector.weight": torch.zeros(3)})
    built = build_model(ModelSettings(name=str(file), architecture="test_vit"))
    assert same_state(built.model, model)
    assert built.weights.dropped == ("projector.weight",) and built.weights.initialised == ()


@pytest.mark.parametrize("wrapped", [True, False])
def test_two_networks_in_one_file_are_named_and_none_is_guessed(tmp_path: Path, wrapped: bool) -> None:
    states = {
        name: random_model("test_vit", seed=seed, classes=1000).state_dict()
        for seed, name in enumerate(("student", "teacher"))
    }
    if wrapped:
        file = tmp_path / "dino.pth"
        torch.save({**states, "epoch": 3}, file)
    else:
        flat = {f"{owner}.{name}": tensor for owner, state in states.items() for name, tensor in state.items()}
        file = written(tmp_path / "dino.safetensors", flat)
    with pytest.raises(InputError, match=r"holds several networks of this kind, under student\., teacher\.; which one"):
        build_model(ModelSettings(name=str(file), architecture="test_vit"))


def test_weights_of_another_program_are_refused_with_the_names_they_have(tmp_path: Path) -> None:
    file = written(tmp_path / "x.safetensors", {"layer.0.q": torch.zeros(3), "layer.0.k": torch.zeros(3)})
    with pytest.raises(
        InputError, match=r"none of its tensors has a place .*; its tensors are layer\.0\.[qk], layer\.0\.[qk]"
    ):
        build_model(ModelSettings(name=str(file), architecture="test_vit"))
