"""An engine for a worker that multiplies matrices with PyTorch on the first card it is shown; for benchmarks only."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from depin_desktop.services.compute.runtimes.engine import Task

SIZE = 8192
PRODUCTS = 200


def load(_: Mapping[str, Any]) -> TorchEngine:
    return TorchEngine()


class TorchEngine:
    """Two large matrices on the card."""

    concurrent = False

    def __init__(self) -> None:
        import torch

        self._torch = torch
        self._left = torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16)
        self._right = torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16)
        self.run(Task("", {}, b"", "", "", send=lambda _: None, progress=lambda: None))

    def describe(self) -> dict[str, Any]:
        return {"engine": f"torch {self._torch.__version__}"}

    def cancel(self, task: Task) -> None:
        """It ends soon by itself."""

    def run(self, _: Task) -> bytes:
        began = time.perf_counter()
        for _number in range(PRODUCTS):
            self._left @ self._right
        self._torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        operations = 2 * SIZE**3 * PRODUCTS
        return json.dumps({"operations": operations, "flops": operations / seconds}).encode()
