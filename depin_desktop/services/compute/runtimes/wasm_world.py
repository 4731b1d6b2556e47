"""In a worker: what WASI lets a module see of the world that would differ between machines, made the same on all."""

from __future__ import annotations

import hashlib

import wasmtime

_WASI = "wasi_snapshot_preview1"
_FIRST_NS = 946_684_800 * 10**9  # the first moment of the year 2000, UTC
_STEP_NS = 10**6
_MAX_RANDOM_BYTES = 1 << 20
_SUCCESS, _EFAULT, _EINVAL, _ENOSYS = 0, 21, 28, 52
_CLOCKS = 4


class World:
    """A clock that only moves when it is read, and random numbers that follow from the job."""

    def __init__(self) -> None:
        self._readings = 0
        self._drawn = 0
        self._seed = b""

    def begin(self, module: str, stdin: bytes) -> None:
        """The world as it is at the beginning of every run of this module on this input."""
        self._readings = self._drawn = 0
        self._seed = module.encode() + hashlib.sha256(stdin).digest()

    def define(self, linker: wasmtime.Linker) -> None:
        """Takes the place of WASI's own clock, random numbers and sleep."""
        i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
        linker.allow_shadowing = True
        for name, takes, function in (
            ("clock_time_get", [i32, i64, i32], self._time),
            ("clock_res_get", [i32, i32], self._resolution),
            ("random_get", [i32, i32], self._random),
        ):
            linker.define_func(_WASI, name, wasmtime.FuncType(takes, [i32]), function, access_caller=True)
        linker.allow_shadowing = False

    def _time(self, caller: wasmtime.Caller, clock: int, _precision: int, at: int) -> int:
        if not 0 <= clock < _CLOCKS:
            return _EINVAL
        self._readings += 1
        return _write(caller, at, (_FIRST_NS + self._readings * _STEP_NS).to_bytes(8, "little"))

    def _resolution(self, caller: wasmtime.Caller, clock: int, at: int) -> int:
        return _write(caller, at, _STEP_NS.to_bytes(8, "little")) if 0 <= clock < _CLOCKS else _EINVAL

    def _random(self, caller: wasmtime.Caller, at: int, length: int) -> int:
        if not 0 <= length <= _MAX_RANDOM_BYTES:
            return _EINVAL
        self._drawn += 1
        numbers = hashlib.shake_256(self._seed + self._drawn.to_bytes(8, "little")).digest(length)
        return _write(caller, at, numbers)


def _write(caller: wasmtime.Caller, at: int, data: bytes) -> int:
    memory = caller.get("memory")
    if not isinstance(memory, wasmtime.Memory):
        return _ENOSYS
    at &= 0xFFFFFFFF  # addresses come as signed numbers
    if at + len(data) > memory.data_len(caller):
        return _EFAULT
    memory.write(caller, data, at)
    return _SUCCESS
