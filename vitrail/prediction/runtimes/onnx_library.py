"""ONNX Runtime, in float32: on any processor, and the format that most other tools read."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitrail.basics.errors import missing_extra
from vitrail.prediction.runtimes.converted import Run

_FILE = "model.onnx"


@dataclass(frozen=True)
class OnnxRuntime:
    """See `Library`."""

    name: str = "onnx"
    packages: tuple[str, ...] = ("onnxruntime", "onnx", "onnxscript")

    def require(self, _precision: str) -> None:
        """Installed, with what exports to its format."""
        _onnxruntime()

    def convert(self, module: nn.Module, example: Tensor, folder: Path) -> None:
        """Write an ONNX file; large weights lie beside it.

        Meanwhile torch computes without oneDNN in the whole process (`torch.export` switches it off and on again):
        what other threads compute then may differ in its last digits.
        """
        exporter = logging.getLogger("torch.onnx")
        level = exporter.level
        exporter.setLevel(logging.ERROR)  # it tells which operators it will not need
        try:
            program: Any = torch.onnx.export(
                module, (example,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("images")},), verbose=False
            )
        finally:
            exporter.setLevel(level)
        program.save(folder / _FILE)

    def opened(self, folder: Path, *, precision: str, callers: int, cores: int) -> Run:
        """Every caller computes with its share of the cores."""
        onnxruntime = _onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, cores // callers)
        options.log_severity_level = 3  # errors
        session = onnxruntime.InferenceSession(folder / _FILE, options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0].name

        def run(batch: np.ndarray) -> list[np.ndarray]:
            return session.run(None, {entry: batch})

        return run


def _onnxruntime() -> Any:
    try:
        import onnx  # noqa: F401 - an extra; torch's exporter needs it
        import onnxruntime
        import onnxscript  # noqa: F401 - an extra; torch's exporter needs it
    except ImportError as error:
        raise missing_extra("onnx", error) from error
    return onnxruntime
