"""In a worker: any ONNX model, numbers in and numbers out, both as .npz."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from depin_desktop.services.compute.runtimes.engine import Refused, Task, bad_input
from depin_desktop.services.compute.runtimes.sessions import Session

MAX_INPUT_BYTES = 256 << 20
"""Unpacked: a small .npz can hold very much of the same number."""
MAX_OUTPUT_BYTES = 64 << 20
MAX_HEADER_BYTES = 4096
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
}


def load(settings: Mapping[str, Any]) -> OnnxEngine:
    """Loads a model.

    Raises:
        Refused: it cannot be loaded, or takes what is no numbers.
    """
    session = Session(settings["path"], threads=int(settings["threads"]), gpu=bool(settings["gpu"]))
    if not all(entry.type in _TYPES for entry in session.inputs):
        raise Refused("crashed", "The model takes something other than numbers.")
    return OnnxEngine(session)


class OnnxEngine:
    """One loaded model."""

    concurrent = False

    def __init__(self, session: Session) -> None:
        self._session = session

    def describe(self) -> dict[str, Any]:
        return {"engine": self._session.engine, "device": self._session.device}

    def cancel(self, _task: Task) -> None:
        self._session.stop()

    def run(self, task: Task) -> bytes:
        inputs = self._zeros() if task.body.get("measure") is True else self._read(task.data)
        outputs = self._session.run(inputs)
        if not all(isinstance(output, np.ndarray) and output.dtype.kind in "biuf" for output in outputs):
            raise bad_input("The model gives something other than numbers.")
        if sum(output.nbytes for output in outputs) > MAX_OUTPUT_BYTES:
            raise Refused("output-limit", f"The answer is larger than {MAX_OUTPUT_BYTES >> 20} MiB.")
        held = io.BytesIO()
        np.savez(held, **dict(zip(self._session.outputs, outputs, strict=True)))
        return held.getvalue()

    def _zeros(self) -> dict[str, Any]:
        """Inputs of the smallest size, to see how long a run takes."""
        return {
            entry.name: np.zeros([size if isinstance(size, int) else 1 for size in entry.shape], _TYPES[entry.type])
            for entry in self._session.inputs
        }

    def _read(self, data: bytes) -> dict[str, Any]:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > MAX_INPUT_BYTES:
                    raise bad_input(f"The inputs are larger than {MAX_INPUT_BYTES >> 20} MiB.")
                for entry in archive.infolist():
                    _check_header(archive, entry)
            with np.load(io.BytesIO(data), allow_pickle=False, max_header_size=MAX_HEADER_BYTES) as found:
                given = {name: found[name] for name in found.files}
        except (
            ValueError,
            OSError,
            KeyError,
            EOFError,
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise bad_input("The inputs must be an .npz file of numbers.") from error
        self._check(given)
        return given

    def _check(self, given: Mapping[str, Any]) -> None:
        wanted = {entry.name: entry for entry in self._session.inputs}
        if set(given) != set(wanted):
            raise bad_input(f"The model takes the inputs {', '.join(sorted(wanted))}; these were given others.")
        for name, entry in wanted.items():
            array, dtype = given[name], np.dtype(_TYPES[entry.type])
            if array.dtype != dtype:
                raise bad_input(f"“{name}” must be {dtype}, not {array.dtype}.")
            if len(array.shape) != len(entry.shape) or any(
                isinstance(size, int) and size != actual for size, actual in zip(entry.shape, array.shape, strict=False)
            ):
                shape = ", ".join(str(size) for size in entry.shape)
                raise bad_input(f"“{name}” must have the shape ({shape}), not {array.shape}.")


def _check_header(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """An array's header may claim more numbers than follow it; it is believed only up to the size of its entry."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=MAX_HEADER_BYTES)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(file, max_header_size=MAX_HEADER_BYTES)
        else:
            raise bad_input("The inputs must be an .npz file of numbers.")
    if dtype.kind not in "biuf" or any(size < 0 for size in shape):
        raise bad_input("The inputs must be numbers.")
    if math.prod(shape) * dtype.itemsize > entry.file_size:
        raise bad_input("The inputs claim to be larger than they are.")
