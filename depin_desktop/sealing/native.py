"""Runs the kernel's machine code through ctypes, which releases the GIL.

LLVM takes some 75 MB of memory, so a child process compiles and tries the code and hands over its few kilobytes; a
processor that stops at an unknown instruction then stops the child and not this process.
"""

from __future__ import annotations

import ctypes
import logging
import platform
import subprocess
import sys
from pathlib import Path

from depin_desktop.sealing import kernel
from depin_desktop.sealing.executable import Executable
from depin_desktop.sealing.hashing import agrees
from depin_desktop.sealing.merkle import HASH, LEAF, SPAN, SPAN_LEAVES

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


class NativeHasher:
    """The kernel in this process; safe to call from several threads at once."""

    name = "x86 SHA extensions"

    def __init__(self, code: bytes) -> None:
        """Maps what `compile_here` or `compile_in_child` returned.

        Raises:
            OSError: the system does not allow executable memory.
        """
        self._code = Executable(code)  # must live as long as the function
        word, pointer = ctypes.c_size_t, ctypes.c_void_p
        prototype = ctypes.CFUNCTYPE(None, word, pointer, word, pointer, pointer, pointer)
        self._run = prototype(self._code.address)
        self._table = ctypes.create_string_buffer(kernel.table())

    def leaves(self, data: memoryview) -> bytes:
        """See `Hasher.leaves`."""
        return self._call(kernel.LEAVES, data, LEAF, 0)

    def pairs(self, level: bytes) -> bytes:
        """See `Hasher.pairs`."""
        return self._call(kernel.PAIRS, level, 2 * HASH, 0)

    def spans(self, data: memoryview) -> bytes:
        """See `Hasher.spans`."""
        return self._call(kernel.SPANS, data, SPAN, SPAN_LEAVES * HASH)

    def _call(self, what: int, data: bytes | memoryview, unit: int, scratch_bytes: int) -> bytes:
        number, rest = divmod(len(data), unit)
        if rest:
            raise ValueError(f"{len(data)} bytes are not whole units of {unit}")
        out = ctypes.create_string_buffer(number * HASH)
        scratch = ctypes.create_string_buffer(scratch_bytes)
        with _Address(data) as address:
            self._run(what, address, number, out, self._table, scratch)
        return out.raw


def load() -> NativeHasher | None:
    """The kernel, compiled and tried in a child process; None where this processor cannot run it.

    Raises:
        OSError: the child cannot be started, or executable memory is refused.
        subprocess.TimeoutExpired: it took longer than `COMPILE_TIMEOUT_S`.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        # Arm's SHA2 instructions would need a kernel of their own, tried on such a machine; hashlib serves until then.
        return None
    code = compile_in_child()
    return NativeHasher(code) if code else None


def compile_in_child() -> bytes:
    """The machine code, from a process that compiled it and compared it with hashlib; empty when it cannot run here."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); from depin_desktop.sealing import native; native.main()"
    folder = Path(__file__).resolve().parents[2]
    child = subprocess.run(  # noqa: S603 (our own interpreter and program)
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMPILE_TIMEOUT_S,
        check=False,
    )
    if child.returncode != 0:
        reason = child.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        log.warning("the sealing kernel cannot be used (exit %d) %s", child.returncode, reason)
        return b""
    return child.stdout


def compile_here() -> bytes:
    """Compiles the kernel with LLVM in this process; empty when the processor lacks the SHA extensions."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    if not features.get("sha"):
        return b""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(kernel.module())
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=2, reloc="pic", codemodel="small"
    )
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
    """What the child runs: prints the machine code if it works, nothing if the processor lacks the extensions."""
    code = compile_here()
    if code and not agrees(NativeHasher(code)):
        sys.exit("the kernel's hashes differ from hashlib's")
    sys.stdout.buffer.write(code)
