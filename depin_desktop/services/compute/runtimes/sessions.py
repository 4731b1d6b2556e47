"""In a worker: ONNX models with onnxruntime, on whatever this installation of it can use."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import onnxruntime

from depin_desktop.services.compute.runtimes.engine import Refused, bad_input

_GPU_PROVIDERS = {
    "CUDAExecutionProvider": "cuda",
    "ROCMExecutionProvider": "rocm",
    "DmlExecutionProvider": "directml",
    "CoreMLExecutionProvider": "coreml",
}
_CPU = "CPUExecutionProvider"
_PACKAGES = ("onnxruntime-gpu", "onnxruntime-directml", "onnxruntime")


class Session:
    """One loaded model and the run of it that is under way."""

    def __init__(self, path: str, *, threads: int, gpu: bool) -> None:
        """Loads a model.

        Raises:
            Refused: it cannot be loaded.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        available = onnxruntime.get_available_providers()
        wanted = [name for name in _GPU_PROVIDERS if gpu and name in available]
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[*wanted, _CPU])
        except Exception as error:  # the binding's errors have no base of their own
            raise Refused("crashed", "The model cannot be loaded; its file may be damaged.") from error
        self._options: Any = None
        used = self._session.get_providers()
        self.device = next((_GPU_PROVIDERS[name] for name in used if name in _GPU_PROVIDERS), "cpu")
        self.inputs = self._session.get_inputs()
        self.outputs = [output.name for output in self._session.get_outputs()]

    @property
    def engine(self) -> str:
        """Name and exact build, as receipts and offers name it."""
        return f"onnxruntime {_version()} {self.device}"

    def run(self, inputs: dict[str, Any]) -> list[Any]:
        """All outputs, in order.

        Raises:
            Refused: the model cannot take these inputs, or the run was stopped.
        """
        self._options = options = onnxruntime.RunOptions()
        try:
            return list(self._session.run(self.outputs, inputs, options))
        except Exception as error:
            if options.terminate:
                raise Refused("time-limit", "The job was interrupted.") from error
            if "allocate" in str(error).lower() or "bad_alloc" in str(error):
                raise Refused("memory-limit", "The job needs more memory than it may have.") from error
            raise bad_input(f"The model cannot be run on this: {_first_line(error)}.") from error
        finally:
            self._options = None

    def stop(self) -> None:
        """Makes the run that is under way end; called from another thread."""
        if self._options is not None:
            self._options.terminate = True


def _version() -> str:
    for package in _PACKAGES:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return str(onnxruntime.__version__)


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:300]
