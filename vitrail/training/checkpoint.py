"""Checkpoints: what training has changed so far, in one file that is either whole or absent."""

import contextlib
import json
import os
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from vitrail.basics.checks import CHECK
from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, Recovered, nobody
from vitrail.basics.files import atomic_file, explained_os_errors
from vitrail.training.parameter_groups import fill_momentum
from vitrail.training.state import TrainingState

MODEL = "model"
_OPTIMIZER = "optimizer/"
KEPT = 2
"""Checkpoints on disk: the newest, and the one before in case the newest cannot be read."""


@dataclass(frozen=True)
class Restored:
    """What a checkpoint held beside the tensors that were put back.

    Attributes:
        state: where the run stands.
        trained: names of the model's parameters that have been trained so far.
        best: the weights of the best epochs, by epoch.
    """

    state: TrainingState
    trained: set[str]
    best: dict[int, dict[str, Tensor]]


class Checkpoints:
    """The checkpoints of one run, in a folder of their own.

    Modules have names. Of the model, only parameters that some stage has trained so far are written, and all buffers;
    of the others everything; and the optimiser's state of all these. The best weights are files beside, written when
    they are not on disk yet.

    Args:
        folder: of the checkpoints.
        modules: by name; `model` is the model.
        optimizer: over their parameters.
        digests: names what the run reads beside; a checkpoint of a run that read something else is not taken.
    """

    def __init__(
        self,
        folder: Path,
        modules: Mapping[str, nn.Module],
        optimizer: Optimizer,
        *,
        digests: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._modules = modules
        self._optimizer = optimizer
        self._digests = dict(digests or {})

    def write(self, state: TrainingState, trained: set[str], best: Mapping[int, Mapping[str, Tensor]]) -> int:
        """Write a checkpoint and remove those that are no longer needed; returns the bytes of the newest.

        Args:
            state: where the run stands.
            trained: names of the parameters that have been trained so far.
            best: the weights of the best epochs, by epoch.

        Raises:
            SystemFault: the disk is full or may not be written; older checkpoints are untouched.
        """
        with explained_os_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        for epoch, weights in best.items():
            if not self._best_file(epoch).exists():
                _save(self._best_file(epoch), weights, {})
        newest = self.folder / f"stage{state.stage}-step{state.step:09d}.safetensors"
        _save(
            newest,
            self._tensors(trained),
            {
                "state": json.dumps(state.as_json()),
                "trained": json.dumps(sorted(trained)),
                "digests": json.dumps(self._digests),
            },
        )
        self._remove_old()
        return newest.stat().st_size

    def newest(self) -> Path | None:
        """The newest checkpoint on disk."""
        files = self._files()
        return files[-1] if files else None

    def restore(
        self, *, is_complete: Callable[[TrainingState], bool] = lambda _: True, emit: Emit = nobody
    ) -> Restored | None:
        """Put the newest sound checkpoint into model and optimiser.

        Args:
            is_complete: whether what else a run needs that stands there is on disk and sound.
            emit: told of every checkpoint that is not what was written.

        Returns:
            What it holds; None when there is no sound checkpoint.

        Raises:
            InputError: it is of a run that read something else, another teacher say.
        """
        for file in reversed(self._files()):
            try:
                tensors, restored, digests = self._read(file, is_complete)
                self._refuse_other(file, digests)
                self._restore_modules(tensors)
            except InputError:  # sound, but of another run
                raise
            except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OSError) as error:
                fault = str(error).splitlines()[0]
                emit(Recovered(f"damaged  {file} is left out ({fault}); training goes on from what was before it"))
                # Under its own name it would be taken for newer than what is written from now on.
                with contextlib.suppress(OSError):
                    os.replace(file, file.with_name(f"{file.name}.damaged"))
                continue
            return restored
        return None

    def _read(
        self, file: Path, is_complete: Callable[[TrainingState], bool]
    ) -> tuple[dict[str, Tensor], Restored, dict[str, str]]:
        """All that belongs to a checkpoint, verified before any of it is used."""
        tensors, facts = _load(file)
        state, trained = TrainingState.from_json(json.loads(facts["state"])), set(json.loads(facts["trained"]))
        best = {epoch: _load(self._best_file(epoch))[0] for epoch in best_epochs(state)}
        if not is_complete(state):
            raise ValueError("the validation logits of an epoch before it are damaged")
        return tensors, Restored(state, trained, best), json.loads(facts["digests"])

    def _refuse_other(self, file: Path, digests: Mapping[str, str]) -> None:
        if digests != self._digests:
            changed = sorted(name for name in {*digests, *self._digests}
                             if digests.get(name) != self._digests.get(name))  # fmt: skip
            raise InputError(
                f"{file} is of a run that read another {', '.join(changed)}",
                hint="put it back, choose another --out, or begin anew with --overwrite",
            )

    def _restore_modules(self, tensors: Mapping[str, Tensor]) -> None:
        named = self._parameters()
        places = {**named, **self._buffers()}
        with torch.no_grad():
            for key, value in tensors.items():
                if not key.startswith(_OPTIMIZER):
                    places[key].copy_(value)
        self._optimizer.state.clear()
        for key, value in tensors.items():
            if key.startswith(_OPTIMIZER):
                field, _, name = key.removeprefix(_OPTIMIZER).partition("/")
                self._optimizer.state[named[name]][field] = value.to(named[name].device)
        fill_momentum(self._optimizer)

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {f"{owner}/{name}": value for owner, module in self._modules.items()
                for name, value in module.named_parameters()}  # fmt: skip

    def _buffers(self) -> dict[str, Tensor]:
        return {f"{owner}/{name}": value for owner, module in self._modules.items()
                for name, value in module.named_buffers()}  # fmt: skip

    def _tensors(self, trained: set[str]) -> dict[str, Tensor]:
        untouched = {f"{MODEL}/{name}" for name, _ in self._modules[MODEL].named_parameters() if name not in trained}
        kept: dict[str, Tensor] = {}
        for key, parameter in self._parameters().items():
            if key not in untouched:
                kept[key] = parameter.detach()
                for field, value in self._optimizer.state.get(parameter, {}).items():
                    kept[f"{_OPTIMIZER}{field}/{key}"] = value
        return {**kept, **self._buffers()}

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
        needed = {epoch for file in files[-KEPT:] for epoch in _best_epochs_of(file)}
        for file in self.folder.glob("best-epoch*.safetensors"):
            if int(re.findall(r"\d+", file.name)[0]) not in needed:
                file.unlink(missing_ok=True)


def best_epochs(state: TrainingState) -> set[int]:
    """Epochs whose weights may still be asked for: the best of all, and the best of the latest stage."""
    return {best.epoch for best in (state.best, state.stage_best) if best is not None}


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
    """Tensors and facts of a file that `_save` wrote.

    Raises:
        ValueError: they are not what was written.
    """
    with safe_open(file, framework="pt") as opened:
        facts = dict(opened.metadata() or {})
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    expected = facts.pop(CHECK, None)
    if expected != _check_of(tensors, facts):
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


def _best_epochs_of(file: Path) -> set[int]:
    try:
        with safe_open(file, framework="pt") as opened:
            return best_epochs(TrainingState.from_json(json.loads(opened.metadata()["state"])))
    except (SafetensorError, KeyError, ValueError, TypeError, OSError):
        return set()
