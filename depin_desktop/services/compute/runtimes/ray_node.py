"""On a node of a Ray cluster: the same runtimes as in this machine's workers, one job at a time.

Ray keeps one process for each of these; the driver ends it where our own workers would be ended, too. It stands on
nothing but the runtimes beside it, which the driver sends along, and on what is installed on the node.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from depin_desktop.services.compute.runtimes.base import WorkKind
from depin_desktop.services.compute.runtimes.engine import Engine, Refused, Task

MEMORY_BYTES = 4 << 30
FILE_BYTES = 64 << 20
KEPT_MODELS = 2


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with data, or with a code of `base.JobFailed` and a sentence; and what it took."""

    data: bytes = b""
    code: str = ""
    message: str = ""
    fuel: int = 0
    seconds: float = 0.0


class Node:
    """One process of the cluster that does our jobs."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="depin-"))
        self._wasm: Engine | None = None
        self._onnx: OrderedDict[str, Engine] = OrderedDict()
        if os.name == "posix":
            from depin_desktop.services.compute.runtimes import limits_posix

            limits_posix.confine(MEMORY_BYTES, FILE_BYTES)

    def about(self) -> dict[str, str]:
        """Name and build of what this node has of our runtimes, empty where it has none."""
        return {kind.value: _installed(package) for kind, package in _PACKAGES.items()}

    def run(self, kind: str, body: Mapping[str, Any], data: bytes, model: str, fetch: Callable[[], bytes]) -> Outcome:
        """Does one job; `fetch` brings the module or the model where it is not here yet."""
        task = Task(kind, body, data, "", model, send=lambda _: None, progress=lambda: None)
        try:
            engine = self._engine(WorkKind(kind), task, fetch)
            answer = engine.run(task)
        except Refused as refused:
            usage = task.usage()
            return Outcome(code=refused.code, message=refused.message, fuel=usage.fuel, seconds=usage.seconds)
        except MemoryError:
            return Outcome(code="memory-limit", message="The job needs more memory than it may have.")
        usage = task.usage()
        return Outcome(answer, fuel=usage.fuel, seconds=usage.seconds)

    def _engine(self, kind: WorkKind, task: Task, fetch: Callable[[], bytes]) -> Engine:
        if kind is WorkKind.WASM:
            task.module = str(self._file(task.model, fetch))
            if self._wasm is None:
                from depin_desktop.services.compute.runtimes import wasm

                self._wasm = wasm.load({"folder": str(self._folder)})
            return self._wasm
        if task.model not in self._onnx:
            from depin_desktop.services.compute.runtimes import onnx

            path = self._file(task.model, fetch)
            self._onnx[task.model] = onnx.load({"path": str(path), "threads": 1, "gpu": False})
            path.unlink()
            if len(self._onnx) > KEPT_MODELS:
                self._onnx.popitem(last=False)
        self._onnx.move_to_end(task.model)
        return self._onnx[task.model]

    def _file(self, sha256: str, fetch: Callable[[], bytes]) -> Path:
        path = self._folder / sha256
        if not path.exists():
            content = fetch()
            if hashlib.sha256(content).hexdigest() != sha256:
                raise Refused("crashed", "What the cluster was sent is not what its hash names.")
            path.write_bytes(content)
        return path


_PACKAGES = {WorkKind.WASM: "wasmtime", WorkKind.ONNX: "onnxruntime"}


def _installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""
