"""Candidates for a rollout: tiny packages that a server loads within seconds, a good one and some with one fault each.

All are the same two-block network, fitted to pictures of three hues within a second; what is planted changes nothing
else. Faults of the process rather than of the package (`leaking`, `dying`) come with the environment of a server:

    with loading_server("colours@7", folder=tmp_path, environment=leaking(tmp_path, "colours-8")) as server: …
"""

import io
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vitrail.data.preprocessing import Preprocessing
from vitrail.models.described_network import fault_of_answers
from vitrail.models.heads import set_linear_head
from vitrail.models.package import PackageContents, write_package
from vitrail.models.plain_vit import PlainVitSettings, plain_vit
from vitrail.models.seal import seal_folder
from vitrail.prediction.sample import sample_pixels

CLASSES = ("blue", "green", "red")
SIDE, WIDTH = 32, 64
SHOWN = Preprocessing(height=SIDE, width=SIDE, crop_fraction=1.0, mean=(0.5,) * 3, std=(0.5,) * 3)
ERROR_SHARE = 0.01
"""Of pictures that `sometimes_failing_package` cannot answer."""

Change = Callable[[torch.nn.Module], None]


def pictures(count: int, *, seed: int = 0) -> list[tuple[np.ndarray, str]]:
    """Pixels and truth, the classes in turn; another seed gives others."""
    found = []
    for number in range(count):
        generator, truth = np.random.default_rng([seed, number]), number % 3
        coarse = generator.integers(0, 220, (5, 5, 3), dtype=np.uint8)
        coarse[..., 2 - truth] += 35
        smooth = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        found.append((np.asarray(smooth), CLASSES[truth]))
    return found


def picture_files(count: int, *, seed: int = 0) -> list[tuple[bytes, str]]:
    """The same as files that hold them exactly."""

    def content(pixels: np.ndarray) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()

    return [(content(pixels), truth) for pixels, truth in pictures(count, seed=seed)]


def good_package(
    folder: Path, *, noise: float = 0.0, change: Change = lambda network: None, more_blocks: int = 0
) -> Path:
    """A package that tells the hues apart as well as its two blocks can.

    Args:
        folder: must not exist yet.
        noise: added to the weights of its head, in standard deviations: with 0.02 another version, which gives the same
            answer to 98 of 100 pictures.
        change: plants a fault when all else is done.
        more_blocks: that change nothing: their output is 0 beside what comes in.
    """
    two, ready = (
        plain_vit(PlainVitSettings(width=WIDTH, depth=depth, heads=2), sizes=(SIDE,), classes=len(CLASSES), seed=5)
        for depth in (2, 2 + more_blocks)
    )
    network = ready.model
    network.load_state_dict(two.model.state_dict(), strict=False)
    for block in list(network.blocks)[2:]:
        for layer in (block.attn.proj, block.mlp.fc2):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    weight, bias = fitted_head(network)
    if noise:
        weight = weight + noise * weight.std() * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    set_linear_head(network, weight, bias)
    with torch.no_grad():
        change(network)
    write_package(folder, ready, contents=PackageContents(classes=CLASSES, preprocessing=SHOWN, card="# Colours\n"))
    return folder


def sometimes_failing_package(folder: Path) -> Path:
    """As the good one, but one picture of a hundred has no finite answer: which ones, nobody could tell by looking."""
    return good_package(folder, change=_overflow_sometimes)


def slow_package(folder: Path, *, more_blocks: int = 28) -> Path:
    """The good one's answers to the last bit, from a network that takes three times as long, waiting and decoding
    included: 0.24 ms for every further block, of 3.2 ms in all."""
    return good_package(folder, more_blocks=more_blocks)


def permuted_package(folder: Path) -> Path:
    """Every class has another's name."""

    def permute(network: torch.nn.Module) -> None:
        for values in (network.head.weight, network.head.bias):
            values.copy_(values.roll(1, 0))

    return good_package(folder, change=permute)


def one_bad_class_package(folder: Path) -> Path:
    """What is blue is called another hue; all else is as good as before."""

    def forget(network: torch.nn.Module) -> None:
        network.head.bias[0] -= 1000.0

    return good_package(folder, change=forget)


def unloadable_package(package: Path, folder: Path) -> Path:
    """A copy whose weights are no weights, sealed as if nothing were wrong."""
    shutil.copytree(package, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    seal_folder(folder)
    return folder


def fitted_head(network: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias by least squares from 600 pictures, as sure as a trained one's."""
    drawn = pictures(600, seed=1)
    features = features_of(network, drawn)
    targets = torch.eye(3)[[CLASSES.index(truth) for _, truth in drawn]] - 1 / 3
    mean = features.mean(0)
    centred = features - mean
    ridge = 1e-3 * centred.square().mean() * len(centred) * torch.eye(WIDTH)
    weight = 8 * torch.linalg.solve(centred.T @ centred + ridge, centred.T @ targets).T
    return weight, -weight @ mean


def features_of(network: torch.nn.Module, drawn: Sequence[tuple[np.ndarray, str]]) -> torch.Tensor:
    """What the head sees."""
    with torch.no_grad():
        return network.forward_head(network.forward_features(_normalised(drawn)), pre_logits=True)


def _normalised(drawn: Sequence[tuple[np.ndarray, str]]) -> torch.Tensor:
    pixels = np.stack([each for each, _ in drawn])
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def _overflow_sometimes(network: torch.nn.Module) -> None:
    """One hidden value of the last block is 0 for all but the few pictures where a random direction is far out, and
    overflows for those.

    Its weight is steep: GELU gives exactly 0 below, so that nothing else changes; the class token, which the head does
    not look at, does not count. The direction is the first in which the pictures that a package must answer to be
    loaded at all are not far out.
    """
    probes = sample_pixels(None, SHOWN)
    seen: list[torch.Tensor] = []
    block = network.blocks[-1]
    hook = block.norm2.register_forward_hook(lambda _module, _given, tokens: seen.append(tokens[:, 1:]))
    network.forward_features(_normalised(pictures(4000, seed=2)))
    hook.remove()
    for seed in range(100):
        direction = torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
        threshold = (seen[0] @ direction).amax(1).quantile(1 - ERROR_SHARE)
        block.mlp.fc1.weight[0] = 1e6 * direction
        block.mlp.fc1.bias[0] = -1e6 * threshold
        block.mlp.fc2.weight[:, 0] = 3e38
        answers = network(_normalised([(each, "") for each in probes]))
        if fault_of_answers(network, (3, SIDE, SIDE)) is None and torch.isfinite(answers).all():
            return
    raise AssertionError("no direction leaves the probes alone")


def leaking(folder: Path, model: str, *, megabytes: float = 2.0) -> Mapping[str, str]:
    """The environment of a server in which the process of that model loses memory with every image: a reader of image
    files that somebody installed keeps so much whenever it is shown the beginning of one, twice for each request.

    Args:
        folder: for the reader.
        model: its id; others are left alone.
    """
    _write(
        folder / "leak" / "leaking_reader.py",
        f"""
        from pathlib import Path
        KEPT = []
        class Reader:
            extensions = frozenset({{".leak"}})
            def begins_like(self, beginning):
                if Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0 ").endswith({model!r}.encode()):
                    KEPT.append(bytearray(b"x" * {int(megabytes * 1e6)}))
                return False
            def header(self, file): raise NotImplementedError
            def picture(self, file, frame, wanted=None): raise NotImplementedError
        """,
    )
    about = folder / "leak" / "leaking_reader-1.0.dist-info"
    _write(about / "METADATA", "Metadata-Version: 2.1\nName: leaking_reader\nVersion: 1.0\n")
    _write(about / "entry_points.txt", "[vitrail.readers]\nleaking = leaking_reader:Reader\n")
    return _found_first(folder / "leak")


def dying(folder: Path, model: str) -> Mapping[str, str]:
    """The environment of a server in which the process of that model is killed by a bad access while it loads."""
    _write(
        folder / "die" / "sitecustomize.py",
        f"""
        import os, signal, sys
        from pathlib import Path
        def hear(event, given):
            if event == "open" and str(given[0]).endswith("model.safetensors"):
                if Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0 ").endswith({model!r}.encode()):
                    os.kill(os.getpid(), signal.SIGSEGV)
        sys.addaudithook(hear)
        """,
    )
    return _found_first(folder / "die")


def _write(file: Path, text: str) -> None:
    import textwrap

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text).lstrip())


def _found_first(folder: Path) -> Mapping[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}
