"""In a worker: WASM modules with wasmtime, the same module and input giving the same bytes everywhere.

A module sees WASI preview 1 with an empty private folder as "/", no network, no environment, standard input and output.
Its clock is not the machine's: it starts at a fixed moment and moves with each reading, and its random numbers are
drawn from the hash of module and input. What can still differ: time stamps of the files that it makes, how deep it may
recurse before its stack ends, and whether it ends in time. Of a run that was interrupted the engine tells the fuel only
up to its last call of a function.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import shutil
from collections import OrderedDict
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi

from depin_desktop.services.compute.runtimes.engine import Refused, Task, bad_input
from depin_desktop.services.compute.runtimes.wasm_world import World

MAX_OUTPUT_BYTES = 16 << 20
MAX_ERROR_BYTES = 4096
KEPT_MODULES = 16
KEPT_MODULE_BYTES = 64 << 20
MAX_TABLE_ELEMENTS = 1 << 20
MAX_ARGUMENTS_BYTES = 64 << 10

_TRAPS = {
    wasmtime.TrapCode.OUT_OF_FUEL: ("fuel", "The job has burnt all the fuel that it was given."),
    wasmtime.TrapCode.INTERRUPT: ("time-limit", "The job was interrupted."),
}


def engine_build() -> str:
    """As receipts and offers name it."""
    return f"wasmtime {version('wasmtime')}"


def configuration() -> wasmtime.Config:
    """Settings under which a run is repeatable bit by bit, and countable."""
    config = wasmtime.Config()
    config.consume_fuel = True
    config.epoch_interruption = True
    config.cranelift_nan_canonicalization = True
    config.wasm_relaxed_simd_deterministic = True
    config.wasm_threads = False
    config.shared_memory = False
    config.wasm_memory64 = False
    config.wasm_multi_memory = False
    config.wasm_gc = False
    config.wasm_function_references = False
    config.wasm_exceptions = False
    config.wasm_stack_switching = False
    return config


def load(settings: Mapping[str, Any]) -> WasmEngine:
    """The engine of this worker."""
    return WasmEngine(Path(settings["folder"]))


class WasmEngine:
    """Compiles modules once and runs each job in a store of its own."""

    concurrent = False

    def __init__(self, scratch: Path) -> None:
        self._engine = wasmtime.Engine(configuration())
        self._world = World()
        self._linker = wasmtime.Linker(self._engine)
        self._linker.define_wasi()
        self._world.define(self._linker)
        self._modules: OrderedDict[str, tuple[int, wasmtime.InstancePre]] = OrderedDict()
        self._scratch = scratch / "files"
        self._scratch.mkdir(parents=True, exist_ok=True)

    def describe(self) -> dict[str, Any]:
        return {"engine": engine_build()}

    def cancel(self, _task: Task) -> None:
        self._engine.increment_epoch()

    def run(self, task: Task) -> bytes:
        limits = task.body
        fuel, memory = int(limits["fuel"]), int(limits["memory"])
        arguments = [str(argument) for argument in limits.get("args") or ()]
        if sum(len(argument) + 1 for argument in arguments) > MAX_ARGUMENTS_BYTES or "\0" in "".join(arguments):
            raise bad_input("The arguments are too long, or hold a zero byte.")
        module = self._module(task.model, task.module)
        output = _Output(MAX_OUTPUT_BYTES, self._engine)
        errors = _Tail(MAX_ERROR_BYTES)
        store = wasmtime.Store(self._engine)
        try:
            store.set_limits(memory, MAX_TABLE_ELEMENTS, 1, 4, 1)
            store.set_fuel(fuel)
            store.set_epoch_deadline(1)
            if task.cancelled.is_set():  # only after the deadline is set: none gets lost between the two
                raise Refused(*_TRAPS[wasmtime.TrapCode.INTERRUPT])
            store.set_wasi(self._wasi(task, arguments, output, errors))
            self._world.begin(task.model, task.data)
            try:
                self._start(module, store)
            finally:
                task.fuel = fuel - store.get_fuel()
            if output.full:
                raise _output_limit()
            return bytes(output.data)
        except wasmtime.ExitTrap as exit_:
            if output.full:
                raise _output_limit() from exit_
            if exit_.code:
                raise bad_input(f"The module ended with status {exit_.code}.{errors.clause()}") from exit_
            return bytes(output.data)
        except wasmtime.Trap as trap:
            if output.full:
                raise _output_limit() from trap
            raise _trapped(trap, errors) from trap
        except wasmtime.WasmtimeError as error:
            raise _refused(error) from error
        finally:
            store.close()
            self._tidy()

    def _start(self, module: wasmtime.InstancePre, store: wasmtime.Store) -> None:
        exports = module.instantiate(store).exports(store)
        start = exports.get("_start")
        if not isinstance(start, wasmtime.Func):
            raise bad_input("The module exports no function “_start”; build it for wasm32-wasip1 as a program.")
        start_type = start.type(store)
        if start_type.params or start_type.results:
            raise bad_input("The module's “_start” must take nothing and return nothing.")
        start(store)

    def _module(self, sha256: str, path: str) -> wasmtime.InstancePre:
        kept = self._modules.get(sha256)
        if kept is not None:
            self._modules.move_to_end(sha256)
            return kept[1]
        code = Path(path).read_bytes()
        if hashlib.sha256(code).hexdigest() != sha256:
            raise bad_input("The module is not the one that its hash names.")
        try:
            module = self._linker.instantiate_pre(wasmtime.Module(self._engine, code))
        except wasmtime.WasmtimeError as error:
            raise _refused(error) from error
        self._modules[sha256] = (len(code), module)
        while len(self._modules) > KEPT_MODULES or (
            len(self._modules) > 1 and sum(size for size, _ in self._modules.values()) > KEPT_MODULE_BYTES
        ):
            self._modules.popitem(last=False)
        return module

    def _wasi(self, task: Task, arguments: list[str], output: _Output, errors: _Tail) -> wasmtime.WasiConfig:
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["module", *arguments]
        held = ffi.wasm_byte_vec_t()
        source = ctypes.cast(ctypes.c_char_p(task.data), ctypes.POINTER(ffi.wasm_byte_t))
        ffi.wasm_byte_vec_new(ctypes.byref(held), len(task.data), source)
        ffi.wasi_config_set_stdin_bytes(wasi.ptr(), ctypes.byref(held))  # which owns the copy from now on
        wasi.stdout_custom = output.write
        wasi.stderr_custom = errors.write
        wasi.preopen_dir(str(self._scratch), "/")
        return wasi

    def _tidy(self) -> None:
        if any(self._scratch.iterdir()):
            shutil.rmtree(self._scratch)
            self._scratch.mkdir()


class _Output:
    """Standard output up to a size; beyond it the job is interrupted."""

    def __init__(self, limit: int, engine: wasmtime.Engine) -> None:
        self.data = bytearray()
        self.full = False
        self._limit = limit
        self._engine = engine

    def write(self, data: bytes) -> int:
        if len(self.data) + len(data) > self._limit:
            self.full = True
            self._engine.increment_epoch()
            return -errno.EFBIG
        self.data += data
        return len(data)


class _Tail:
    """The end of standard error."""

    def __init__(self, limit: int) -> None:
        self._data = b""
        self._limit = limit

    def write(self, data: bytes) -> int:
        self._data = (self._data + data[-self._limit :])[-self._limit :]
        return len(data)

    def clause(self) -> str:
        text = self._data.decode("utf-8", "replace").strip()
        return f" It said: {text}" if text else ""


def _output_limit() -> Refused:
    return Refused("output-limit", f"The job wrote more than {MAX_OUTPUT_BYTES >> 20} MiB.")


def _trapped(trap: wasmtime.Trap, errors: _Tail) -> Refused:
    code = trap.trap_code
    if code in _TRAPS:
        return Refused(*_TRAPS[code])
    what = code.name.lower().replace("_", " ") if code else "an error of the host"
    return bad_input(f"The module trapped: {what}.{errors.clause()}")


def _refused(error: wasmtime.WasmtimeError) -> Refused:
    said = str(error).strip().splitlines()
    lines = " ".join(line.strip() for line in said)[:500]
    if "exceeds memory limit" in lines or "memory limits" in lines:
        return Refused("memory-limit", "The module needs more memory than the job may have.")
    return bad_input(f"The module cannot be run: {lines}")
