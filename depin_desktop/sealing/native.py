"""Runs a kernel's machine code through ctypes, which releases the GIL: with SHA instructions, else over OpenSSL.

LLVM takes some 75 MB of memory, so a child process compiles and tries the code and hands over its few kilobytes; a
processor that stops at an unknown instruction then stops the child and not this process.
"""

from __future__ import annotations

import ctypes
import logging
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from depin_desktop.sealing import entry, kernel, libcrypto
from depin_desktop.sealing.executable import Executable
from depin_desktop.sealing.hashing import agrees
from depin_desktop.sealing.merkle import HASH, LEAF, SPAN, SPAN_LEAVES

if TYPE_CHECKING:
    import llvmlite.binding as llvm

log = logging.getLogger(__name__)

COMPILE_TIMEOUT_S = 30.0


class _PyBuffer(ctypes.Structure):
    """CPython's Py_buffer, of which only the address is used (stable ABI since 3.11)."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


class _Address:
    """The address of a buffer's first byte, held still while the context lasts; read-only buffers too."""

    def __init__(self, buffer: bytes | memoryview) -> None:
        self._buffer = buffer
        self._view = _PyBuffer()

    def __enter__(self) -> int:
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(self._buffer), ctypes.byref(self._view), 0)
        return self._view.buf or 0

    def __exit__(self, *_: object) -> None:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(self._view))


@dataclass(frozen=True)
class Kernel:
    """One way of hashing many messages in machine code.

    Attributes:
        machines: what `platform.machine` says where it may run, in small letters; empty for everywhere.
        feature: what LLVM must say the processor has; empty for nothing.
        table: what the code reads its constants or addresses from, made in the process that runs it.
    """

    name: str
    machines: tuple[str, ...]
    feature: str
    module: Callable[[], str]
    table: Callable[[], bytes]


def _with(cpu: kernel.Instructions, *machines: str) -> Kernel:
    return Kernel(cpu.name, machines, cpu.feature, lambda: kernel.module(cpu), kernel.table)


OPENSSL = Kernel("OpenSSL", (), "", libcrypto.module, libcrypto.table)
KERNELS = (
    _with(kernel.IntelSha(), "x86_64", "amd64"),
    _with(kernel.ArmSha(), "aarch64", "arm64"),
    OPENSSL,
)
"""The fastest first."""


class NativeHasher:
    """A kernel in this process; safe to call from several threads at once."""

    def __init__(self, which: Kernel, code: bytes) -> None:
        """Maps what `compile_here` or `compile_in_child` returned.

        Raises:
            OSError: the system does not allow executable memory, or lacks what the kernel calls.
        """
        self.name = which.name
        self._code = Executable(code)  # must live as long as the function
        word, pointer = ctypes.c_size_t, ctypes.c_void_p
        prototype = ctypes.CFUNCTYPE(None, word, pointer, word, pointer, pointer, pointer)
        self._run = prototype(self._code.address)
        self._table = ctypes.create_string_buffer(which.table())

    def leaves(self, data: memoryview) -> bytes:
        """See `Hasher.leaves`."""
        return self._call(entry.LEAVES, data, LEAF, 0)

    def pairs(self, level: bytes) -> bytes:
        """See `Hasher.pairs`."""
        return self._call(entry.PAIRS, level, 2 * HASH, 0)

    def spans(self, data: memoryview) -> bytes:
        """See `Hasher.spans`."""
        return self._call(entry.SPANS, data, SPAN, SPAN_LEAVES * HASH)

    def _call(self, what: int, data: bytes | memoryview, unit: int, scratch_bytes: int) -> bytes:
        number, rest = divmod(len(data), unit)
        if rest:
            raise ValueError(f"{len(data)} bytes are not whole units of {unit}")
        out = ctypes.create_string_buffer(number * HASH)
        scratch = ctypes.create_string_buffer(scratch_bytes)
        with _Address(data) as address:
            self._run(what, address, number, out, self._table, scratch)
        return out.raw


def usable() -> Iterator[NativeHasher]:
    """The kernels that run here, the fastest first; each was compiled and tried in a child process.

    Raises:
        OSError: the child cannot be started.
        subprocess.TimeoutExpired: it took longer than `COMPILE_TIMEOUT_S`.
    """
    machine = platform.machine().lower()
    for which in KERNELS:
        if which.machines and machine not in which.machines:
            continue
        code = compile_in_child(which)
        if not code:
            continue
        try:
            yield NativeHasher(which, code)
        except OSError as error:
            log.warning("sealing with %s cannot be used (%s)", which.name, error)


def compile_in_child(which: Kernel) -> bytes:
    """The machine code, from a process that compiled it and compared it with hashlib; empty when it cannot run here."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); from depin_desktop.sealing import native; native.main()"
    folder = Path(__file__).resolve().parents[2]
    child = subprocess.run(  # noqa: S603 (our own interpreter and program)
        [sys.executable, "-c", program, str(folder), which.name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMPILE_TIMEOUT_S,
        check=False,
    )
    if child.returncode != 0:
        reason = child.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        log.warning("sealing with %s cannot be used (exit %d) %s", which.name, child.returncode, reason)
        return b""
    return child.stdout


def compile_here(which: Kernel) -> bytes:
    """Compiles a kernel with LLVM in this process; empty when the processor lacks what it needs."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    if which.feature and not features.get(which.feature):
        return b""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=2, reloc="pic", codemodel="small"
    )
    return machine_code(which, machine)


def machine_code(which: Kernel, machine: llvm.TargetMachine) -> bytes:
    """A kernel's instructions for `machine`, which need not be this one.

    Raises:
        RuntimeError: they refer to something outside themselves.
    """
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(which.module())
    module.triple = machine.triple
    module.verify()
    compiled = llvm.ObjectFileRef.from_data(machine.emit_object(module))
    code = []
    for section in compiled.sections():  # one object that moves on: what it tells is taken at once
        if section.is_text() and section.size():
            code.append(bytes(section.data()))
        elif (section.name() or b"").startswith(b".rela.text"):
            raise RuntimeError("the compiled kernel refers to something outside itself")
    if len(code) != 1:
        raise RuntimeError(f"the kernel was compiled into {len(code)} sections")
    return code[0]


def main() -> None:
    """What the child runs: prints the machine code if it works, nothing if the processor lacks what it needs."""
    (which,) = (one for one in KERNELS if one.name == sys.argv[2])
    code = compile_here(which)
    if code and not agrees(NativeHasher(which, code)):
        sys.exit("the kernel's hashes differ from hashlib's")
    sys.stdout.buffer.write(code)
