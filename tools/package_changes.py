"""One random change to a package, sealed again: by an accident, or by somebody who knows what else must be changed."""

import json
import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from vitrail.basics.files import sha256_of
from vitrail.models.seal import SEAL, seal_folder

ABSURD: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2, 1_000_000_000, 10**30, 0.0, -0.5, 1e-300, 1e300, 0.5, "", "x", "ant", "../../etc/passwd",
    "hf-hub:timm/resnet18.a1_in1k", "local-dir:/etc", "https://example.org/weights.pth", "a/b", "resnet18",
    "test_vit.r160_in1k", "a\x00b", "\x1b[31m", "<script>", "Ω" * 5000, [], [0], [1, 2], [0, 0, 0], [1e300] * 3, [[[]]],
    ["ant", "ant", "ant"], list(range(3)), {}, {"a": {"b": 1}}, [None] * 3, "32",
)  # fmt: skip
HOSTILE = {
    "pretrained": True, "checkpoint_path": "/etc/passwd", "cache_dir": "/tmp/elsewhere", "features_only": True,
    "pretrained_cfg": {"url": "https://example.org/x.pth"}, "pretrained_cfg_overlay": {"file": "/etc/passwd"},
    "out_indices": [0], "pruned": True, "block_fn": "x", "norm_layer": "os.system", "depth": 10**9, "embed_dim": 2**40,
    "img_size": [10**6, 10**6], "patch_size": 0, "num_heads": 0, "scriptable": True, "device": "cuda",
    "depths": [1000] * 64,
    "reg_tokens": 10**5, "num_heads ": 3, "mlp_ratio": 1e30, "num_classes": 10**9, "window_size": 4096, "in_chans": 4,
}  # fmt: skip
PLACES = {
    "url": "https://example.org/x.pth", "file": "/etc/passwd", "hf_hub_id": "timm/resnet18.a1_in1k", "source": "hf-hub",
    "hf_hub_filename": "../../x", "state_dict": {"head.weight": [1]}, "custom_load": True, "classifier": ["head", "x"],
    "first_conv": "../../x", "input_size": [3, 10**9, 10**9], "std": [0, 0, 0], "mean": [1e300, 0, 0], "crop_pct": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What was done to a package."""

    words: str
    tells_another_answer: bool
    """Whether the package now says another thing as a whole, in a way that only a signature could tell from the
    truth: weights, or the way they are used, were replaced by somebody who wrote down their digests as well."""


def changed(folder: Path, dice: random.Random) -> Change:
    """Change one thing in the package in `folder` and seal it again."""
    kinds: list[Callable[[Path, random.Random], str]] = [
        _value, _value, _value, _value, _member, _member, _member, _text, _text, _tensor, _tensor, _bytes, _file,
    ]  # fmt: skip
    kind = dice.choice(kinds)
    knows = kind is not _file and dice.random() < 0.5  # what is no file any more has no digest
    words = kind(folder, dice)
    if knows:
        _tell_digests(folder)
    if kind is not _file:
        seal_folder(folder)
    means = knows and (kind in (_tensor, _bytes) or (kind in (_value, _member) and "config.json" in words))
    return Change(f"{words}{' and its digest' if knows else ''}", means)


def _value(folder: Path, dice: random.Random) -> str:
    name = dice.choice(("config.json", "vitrail.json"))
    whole = json.loads((folder / name).read_text())
    holder, key, path = dice.choice(list(_places(whole)))
    holder[key] = dice.choice(ABSURD)
    (folder / name).write_text(json.dumps(whole))
    return f"{name} {path} = {str(holder[key])[:40]!r}"


def _member(folder: Path, dice: random.Random) -> str:
    """A member taken away, or one that timm would obey."""
    name = dice.choice(("config.json", "vitrail.json"))
    whole = json.loads((folder / name).read_text())
    hostile = dice.choice((None, "model_args", "pretrained_cfg")) if name == "config.json" else None
    if hostile:
        key, value = dice.choice(list((HOSTILE if hostile == "model_args" else PLACES).items()))
        whole[hostile][key] = value
        words = f"{name} {hostile}.{key} = {str(value)[:40]!r}"
    else:
        holder, key, path = dice.choice(list(_places(whole)))
        del holder[key]
        words = f"{name} without {path}"
    (folder / name).write_text(json.dumps(whole))
    return words


def _text(folder: Path, dice: random.Random) -> str:
    name = dice.choice(("config.json", "vitrail.json", "README.md"))
    old = (folder / name).read_bytes()
    number = dice.randrange(len(old))
    new = {
        "empty": b"", "a byte order mark": b"\xef\xbb\xbf" + old, "UTF-16": old.decode().encode("utf-16"),
        "not UTF-8": old[:number] + b"\xff\xfe" + old[number:], "cut off": old[:number], "twice": old + old,
        "nested": b"[" * 200_000, "nested in a member": old[:-2] + b', "a": ' + b'{"a":' * 100_000,
        "NaN": old.replace(b"0.", b"NaN", 1).replace(b"NaN9", b"NaN"), "infinity": old.replace(b"32", b"1e999", 1),
        "a huge number": old.replace(b"32", b"3" * 5000, 1), "members twice": b'{"classes": ["a", "b"],' + old[1:],
        "a surrogate": old.replace(b'"bee"', b'"\\ud800"'), "null": b"null", "a byte changed": bytes(
            byte ^ 1 if index == number else byte for index, byte in enumerate(old)),
    }  # fmt: skip
    kind = dice.choice(list(new))
    (folder / name).write_bytes(new[kind])
    return f"{name}: {kind}"


def _tensor(folder: Path, dice: random.Random) -> str:
    file = folder / "model.safetensors"
    state = safetensors.torch.load_file(file)
    name = dice.choice(list(state))
    tensor = state[name]
    makers = {
        "NaN": lambda: torch.full_like(tensor, float("nan")), "one infinity": lambda: _with_one(tensor, float("inf")),
        "zero": lambda: torch.zeros_like(tensor), "huge": lambda: torch.full_like(tensor, 3e38),
        "longer": lambda: torch.cat([tensor, tensor]), "float64": lambda: tensor.double(),
        "half": lambda: tensor.half(),
        "another shape": lambda: tensor.reshape(-1, 1), "empty": lambda: tensor[:0].clone(),
        "integers": lambda: tensor.long(), "gone": None, "renamed": None,
    }  # fmt: skip
    kind = dice.choice(list(makers))
    make = makers[kind]
    if make is None:
        del state[name]
        if kind == "renamed":
            state[f"module.{name}"] = tensor
    else:
        state[name] = make().contiguous()
    safetensors.torch.save_file(state, file)
    return f"{file.name} {name}: {kind}"


def _bytes(folder: Path, dice: random.Random) -> str:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    kind = dice.choice(
        ("flipped", "header flipped", "a long header", "an endless header", "cut off", "longer", "sparse")
    )
    if kind == "flipped":
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    elif kind == "header flipped":
        content[dice.randrange(4000)] ^= 1 << dice.randrange(8)
    elif kind in ("a long header", "an endless header"):
        content[:8] = struct.pack("<Q", len(content) if kind == "a long header" else 2**63 - 1)
    elif kind == "cut off":
        del content[dice.randrange(len(content)) :]
    elif kind == "longer":
        content += b"\0" * 1000
    file.write_bytes(bytes(content))
    if kind == "sparse":
        os.truncate(file, len(content) + 3 * 2**20)
    return f"{file.name}: {kind}"


def _file(folder: Path, dice: random.Random) -> str:
    """Files that are none, or lie elsewhere; the seal is made first, because it could not be made over all of them."""
    kind = dice.choice(("pipe", "device", "link out", "link to itself", "extra", "pickle", "folder", "outside", "huge"))
    name = dice.choice(("config.json", "vitrail.json", "README.md", "model.safetensors"))
    file = folder / name
    if kind == "outside":
        (folder.parent / "outside").write_text("x")
        (folder / "inside").write_text("x")
        seal_folder(folder)
        (folder / SEAL).write_text((folder / SEAL).read_text().replace("inside", "../outside"))
        return f"{SEAL} lists ../outside"
    if kind in ("extra", "pickle"):
        (folder / ("notes.txt" if kind == "extra" else "pytorch_model.bin")).write_bytes(b"\x80\x04x")
        seal_folder(folder)
        return f"{kind} file"
    content = file.read_bytes()
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "link to itself":
        file.symlink_to(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "huge":
        file.write_bytes(content)
        os.truncate(file, 100 * 2**30)
    else:
        (folder.parent / name).write_bytes(content)
        file.symlink_to(folder.parent / name)
    return f"{name}: {kind}"


def _with_one(tensor: torch.Tensor, value: float) -> torch.Tensor:
    new = tensor.clone()
    new.view(-1)[0] = value
    return new


def _places(value: Any, path: str = "") -> Iterator[tuple[Any, Any, str]]:
    """Every member of a JSON value: what holds it, its key there, and its name."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        name = f"{path}.{key}" if path else str(key)
        if name != "describes":  # digests are told by whoever knows of them
            yield value, key, name
            yield from _places(inner, name)


def _tell_digests(folder: Path) -> None:
    try:
        facts = json.loads((folder / "vitrail.json").read_bytes())
        facts["describes"] = {name: sha256_of(folder / name) for name in facts["describes"]}
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return  # nothing is left in which they could be told
    (folder / "vitrail.json").write_text(json.dumps(facts))
