"""OpenVINO: often the fastest on processors, in float32 and, where the processor has it, in bfloat16."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitrail.basics.errors import SystemFault, missing_extra
from vitrail.prediction.runtimes.converted import Run

_FILE = "model.xml"
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


@dataclass(frozen=True)
class OpenVINO:
    """See `Library`."""

    name: str = "openvino"
    packages: tuple[str, ...] = ("openvino",)

    def require(self, precision: str) -> None:
        """Installed, and for bfloat16 a processor that computes with it; others would silently use float32."""
        able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bfloat16" and "BF16" not in able:
            raise SystemFault(
                "this processor does not compute in bfloat16, which openvino bfloat16 needs",
                hint="use the runtime 'openvino float32'",
            )

    def convert(self, module: nn.Module, example: Tensor, folder: Path) -> None:
        """Write OpenVINO's own format, weights in float32.

        `openvino.convert_model` does the same, and first reports to its maker that it was called, unless told not to by
        a file in the home folder; the parts it consists of report nothing.
        """
        import openvino  # an extra
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        # It must outlive the conversion, which does not hold it.
        decoder = TorchScriptPythonDecoder(torch.jit.trace(module, (example,), check_trace=False))
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
        model.reshape([-1, *example.shape[1:]])
        openvino.save_model(model, folder / _FILE, compress_to_fp16=False)

    def opened(self, folder: Path, *, precision: str, callers: int, cores: int) -> Run:
        """One stream of computation per caller; each thread has a request of its own."""
        core = _core()
        compiled: Any = core.compile_model(
            core.read_model(folder / _FILE),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
                "INFERENCE_NUM_THREADS": max(cores, callers),
                "NUM_STREAMS": callers,
            },
        )
        own = threading.local()

        def run(batch: np.ndarray) -> list[np.ndarray]:
            if not hasattr(own, "request"):
                own.request = compiled.create_infer_request()
            own.request.infer([batch], share_inputs=True)
            return [own.request.get_output_tensor(place).data.copy() for place in range(len(compiled.outputs))]

        return run


def _core() -> Any:
    try:
        import openvino  # an extra
    except ImportError as error:
        raise missing_extra("openvino", error) from error
    return openvino.Core()
