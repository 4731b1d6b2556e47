"""Work that is not in OpenAI's words: WASM modules run on an input, and ONNX models named by their hash."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from functools import cached_property

from depin_desktop.customer.compute import agreement
from depin_desktop.customer.compute.asks import Request, bad_request, require_size
from depin_desktop.customer.compute.hosts import ONNX, WASM, Host
from depin_desktop.customer.compute.trust import Verdict
from depin_desktop.net import metering
from depin_desktop.net.work_receipts import WorkUsage, bytes_hash, parameters_hash

MAX_MODULE_BYTES = 16 << 20
ONNX_TOLERANCE = 1e-3
ONNX_SECONDS = 60.0
WAITING_S = 60.0
"""For the turn in a provider's queue and the way there, beyond what the work itself may take."""
_BYTES = "application/octet-stream"


@dataclass(frozen=True)
class WasmAsk:
    """A WASM module run on standard input; `fuel`, `memory` (bytes) and `seconds` are its limits."""

    module: bytes
    stdin: bytes = b""
    fuel: int = 10**10
    memory: int = 256 << 20
    seconds: float = 30.0
    kind: str = WASM
    comparable: bool = True

    def __post_init__(self) -> None:
        if not self.module.startswith(b"\0asm"):
            raise bad_request("This is not a WASM module.")
        if len(self.module) > MAX_MODULE_BYTES:
            raise bad_request(f"A module may have {MAX_MODULE_BYTES >> 20} MiB at most.")
        require_size(len(self.stdin))

    @cached_property
    def model(self) -> str:
        return hashlib.sha256(self.module).hexdigest()

    def limits_at(self, host: Host) -> tuple[int, int, float]:
        """Fuel, memory and seconds as that host allows them."""
        assert host.wasm is not None
        memory = min(self.memory, host.wasm.max_memory_bytes or self.memory)
        return self.fuel, memory, float(min(self.seconds, host.wasm.max_seconds or self.seconds))

    def ceiling(self, host: Host) -> int:
        assert host.wasm is not None
        fuel, _, seconds = self.limits_at(host)
        return metering.wasm_cost(fuel, seconds, host.wasm.price_per_gfuel, host.wasm.price_per_second)

    def cost(self, host: Host, usage: WorkUsage) -> int:
        assert host.wasm is not None
        return metering.wasm_cost(usage.fuel, usage.seconds, host.wasm.price_per_gfuel, host.wasm.price_per_second)

    def plausible(self, usage: WorkUsage, answer: bytes) -> bool:
        return usage.fuel <= self.fuel  # the price of its seconds is bound by the ceiling

    def request(self, host: Host) -> Request:
        fuel, memory, seconds = self.limits_at(host)
        path = f"/compute/wasm/{self.model}?fuel={fuel}&memory={memory}&seconds={seconds}"
        limits = parameters_hash({"fuel": fuel, "memory": memory, "seconds": seconds})
        return Request(path, self.stdin, _BYTES, seconds + WAITING_S, bytes_hash(self.stdin), limits)

    def checking(self, usage: WorkUsage) -> WasmAsk:
        return self

    def at_once(self) -> WasmAsk:
        return self

    def compare(self, answer: bytes, check: bytes) -> Verdict:
        return agreement.same_bytes(answer, check)


@dataclass(frozen=True)
class OnnxAsk:
    """One run of an ONNX model named by its hash; `inputs` and answer are .npz files of numbers."""

    model: str
    inputs: bytes = field(repr=False)
    kind: str = ONNX
    comparable: bool = True

    def ceiling(self, host: Host) -> int:
        assert host.model is not None
        return metering.seconds_cost(ONNX_SECONDS, host.model.price_per_run_second)

    def cost(self, host: Host, usage: WorkUsage) -> int:
        assert host.model is not None
        return metering.seconds_cost(usage.seconds, host.model.price_per_run_second)

    def plausible(self, usage: WorkUsage, answer: bytes) -> bool:
        return usage.seconds <= ONNX_SECONDS

    def request(self, host: Host) -> Request:
        assert host.model is not None
        path, hashes = f"/compute/onnx/{host.model.sha256}", (bytes_hash(self.inputs), parameters_hash({}))
        return Request(path, self.inputs, _BYTES, ONNX_SECONDS + WAITING_S, *hashes)

    def checking(self, usage: WorkUsage) -> OnnxAsk:
        return self

    def at_once(self) -> OnnxAsk:
        return self

    def compare(self, answer: bytes, check: bytes) -> Verdict:
        import numpy

        try:
            expected = numpy.load(io.BytesIO(check), allow_pickle=False)
            names = set(expected.files)
        except (ValueError, OSError, AttributeError):
            return Verdict.UNCLEAR
        try:
            found = numpy.load(io.BytesIO(answer), allow_pickle=False)
            alike = set(found.files) == names and all(
                found[name].shape == expected[name].shape
                and numpy.allclose(found[name], expected[name], rtol=ONNX_TOLERANCE, atol=ONNX_TOLERANCE)
                for name in names
            )
        except (ValueError, OSError, AttributeError, TypeError):
            return Verdict.WRONG
        return Verdict.RIGHT if alike else Verdict.WRONG
