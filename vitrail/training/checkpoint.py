"""Checkpoints: what training has changed so far, in one file that is either whole or absent."""

import contextlib
import json
import os
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from vitrail.basics.checks import CHECK
from vitrail.basics.events import Emit, Recovered, nobody
from vitrail.basics.files import atomic_file, explained_os_errors
from vitrail.training.parameter_groups import fill_momentum
from vitrail.training.state import TrainingState

KEPT = 2
"""Checkpoints on disk: the newest, and the one before in case the newest cannot be read."""


class Checkpoints:
    """The checkpoints of one run, in a folder of their own.

    Only parameters that some stage has trained so far are written, with their optimiser state, and the buffers of the
    model; the best weights are a file beside, written when they are not on disk yet.
    """

    def __init__(self, folder: Path, model: nn.Module, optimizer: Optimizer) -> None:
        self.folder = folder
        self._model = model
        self._optimizer = optimizer

    def write(self, state: TrainingState, trained: set[str], best: Mapping[str, Tensor] | None) -> int:
        """Write a checkpoint and remove those that are no longer needed; returns the bytes of the newest.

        Args:
            state: where the run stands.
            trained: names of the parameters that have been trained so far.
            best: the weights of the best epoch.

        Raises:
            SystemFault: the disk is full or may not be written; older checkpoints are untouched.
        """
        with explained_os_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if state.best is not None and best is not None and not self._best_file(state.best.epoch).exists():
            _save(self._best_file(state.best.epoch), best, {})
        newest = self.folder / f"stage{state.stage}-step{state.step:09d}.safetensors"
        _save(
            newest,
            self._tensors(trained),
            {"state": json.dumps(state.as_json()), "trained": json.dumps(sorted(trained))},
        )
        self._remove_old()
        return newest.stat().st_size

    def newest(self) -> Path | None:
        """The newest checkpoint on disk."""
        files = self._files()
        return files[-1] if files else None

    def restore(
        self, *, is_complete: Callable[[TrainingState], bool] = lambda _: True, emit: Emit = nobody
    ) -> tuple[TrainingState, set[str], dict[str, Tensor] | None] | None:
        """Put the newest sound checkpoint into model and optimiser.

        Args:
            is_complete: whether what else a run needs that stands there is on disk and sound.
            emit: told of every checkpoint that is not what was written.

        Returns:
            The state, the names trained so far and the best weights; None when there is no sound checkpoint.
        """
        for file in reversed(self._files()):
            try:
                tensors, state, trained, best = self._read(file, is_complete)
                self._restore_model(tensors)
            except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OSError) as error:
                fault = str(error).splitlines()[0]
                emit(Recovered(f"damaged  {file} is left out ({fault}); training goes on from what was before it"))
                # Under its own name it would be taken for newer than what is written from now on.
                with contextlib.suppress(OSError):
                    os.replace(file, file.with_name(f"{file.name}.damaged"))
                continue
            return state, trained, best
        return None

    def _read(
        self, file: Path, is_complete: Callable[[TrainingState], bool]
    ) -> tuple[dict[str, Tensor], TrainingState, set[str], dict[str, Tensor] | None]:
        """All that belongs to a checkpoint, verified before any of it is used."""
        tensors, facts = _load(file)
        state, trained = TrainingState.from_json(json.loads(facts["state"])), set(json.loads(facts["trained"]))
        best = _load(self._best_file(state.best.epoch))[0] if state.best else None
        if not is_complete(state):
            raise ValueError("the validation logits of an epoch before it are damaged")
        return tensors, state, trained, best

    def _restore_model(self, tensors: Mapping[str, Tensor]) -> None:
        named = dict(self._model.named_parameters())
        buffers = dict(self._model.named_buffers())
        with torch.no_grad():
            for key, value in tensors.items():
                kind, _, name = key.partition("/")
                if kind == "model":
                    named[name].copy_(value)
                elif kind == "buffer":
                    buffers[name].copy_(value)
        self._restore_optimizer(tensors, named)

    def _restore_optimizer(self, tensors: Mapping[str, Tensor], named: Mapping[str, nn.Parameter]) -> None:
        self._optimizer.state.clear()
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "optimizer":
                field, _, name = rest.partition("/")
                parameter = named[name]
                self._optimizer.state[parameter][field] = value.to(parameter.device)
        fill_momentum(self._optimizer)

    def _tensors(self, trained: set[str]) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}
        for name, parameter in self._model.named_parameters():
            if name in trained:
                kept[f"model/{name}"] = parameter.detach()
                for field, value in self._optimizer.state.get(parameter, {}).items():
                    kept[f"optimizer/{field}/{name}"] = value
        for name, buffer in self._model.named_buffers():
            kept[f"buffer/{name}"] = buffer
        return kept

    def _best_file(self, epoch: int) -> Path:
        return self.folder / f"best-epoch{epoch:06d}.safetensors"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("stage*-step*.safetensors"), key=_place) if self.folder.is_dir() else []

    def _remove_old(self) -> None:
        files = self._files()
        for file in files[:-KEPT]:
            file.unlink(missing_ok=True)
        for file in self.folder.glob(".*.partial"):  # of a process that was killed while it wrote
            file.unlink(missing_ok=True)
        needed = {_best_epoch(file) for file in files[-KEPT:]}
        for file in self.folder.glob("best-epoch*.safetensors"):
            if int(re.findall(r"\d+", file.name)[0]) not in needed:
                file.unlink(missing_ok=True)


def weights_of(model: nn.Module, trained: set[str]) -> dict[str, Tensor]:
    """A copy, on the processor, of what training has changed: trained parameters and all buffers."""
    state: dict[str, Any] = {name: p.detach() for name, p in model.named_parameters() if name in trained}
    state |= dict(model.named_buffers())
    return {name: tensor.to("cpu", copy=True) for name, tensor in state.items()}


def load_weights_of(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put back what `weights_of` copied."""
    places = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for name, tensor in weights.items():
            places[name].copy_(tensor)


def _save(path: Path, tensors: Mapping[str, Tensor], facts: dict[str, str]) -> None:
    on_processor = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_file(path) as file:
        file.write(safetensors.torch.save(on_processor, metadata={**facts, CHECK: _check_of(on_processor, facts)}))


def _load(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and facts of a file that `_save` wrote, or an earlier version without a checksum.

    Raises:
        ValueError: they are not what was written.
    """
    with safe_open(file, framework="pt") as opened:
        facts = dict(opened.metadata() or {})
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    expected = facts.pop(CHECK, None)
    if expected != _check_of(tensors, facts) and not (expected is None and facts.keys() <= {"state", "trained"}):
        raise ValueError("the checksum differs")
    return tensors, facts


def _check_of(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """CRC-32 of everything that counts: names, types, shapes, numbers, facts."""
    check = zlib.crc32(json.dumps(dict(facts), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        check = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), check)
        check = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, check)
    return f"{check:08x}"


def _place(file: Path) -> tuple[int, int]:
    stage, step = re.findall(r"\d+", file.name)[:2]
    return int(stage), int(step)


def _best_epoch(file: Path) -> int | None:
    try:
        with safe_open(file, framework="pt") as opened:
            best = json.loads(opened.metadata()["state"])["best"]
    except (SafetensorError, KeyError, ValueError, TypeError, OSError):
        return None
    return None if best is None else best["epoch"]
