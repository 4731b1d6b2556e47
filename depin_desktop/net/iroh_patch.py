"""Makes iroh's Python binding copy byte strings in one go instead of byte by byte.

The generated binding moves every byte string through `_UniffiRustBufferBuilder.write` and
`_UniffiRustBufferStream.read`, which loop in Python: a few MB/s. The replacements below do the same with one memory
copy. They touch private classes of a generated file, so they are applied only to the versions they were checked with,
and only after both paths were seen to agree on this machine; otherwise the binding stays as shipped, slow but right.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

log = logging.getLogger(__name__)

KNOWN_VERSIONS = ("1.2.",)
_PROBES = (b"", b"\x00", bytes(range(256)), b"depin" * 4001)

Write = Callable[[Any, Any], None]
Read = Callable[[Any, int], bytes]

original_write: Write | None = None  # the binding's own, once it has been replaced


def fast_write(self: Any, value: Any) -> None:
    """`_UniffiRustBufferBuilder.write` with one copy; `value` is any contiguous byte buffer."""
    count = len(value)
    with self._reserve(count):
        if count:
            target = ctypes.addressof(self.rbuf.data.contents) + self.rbuf.len
            # memmove takes the address of a bytes object only; other buffers are copied to one first.
            ctypes.memmove(target, value if isinstance(value, bytes) else bytes(value), count)


def make_fast_read(internal_error: type[Exception]) -> Read:
    """`_UniffiRustBufferStream.read` with one copy, raising the binding's own error beyond the end."""

    def fast_read(self: Any, size: int) -> bytes:
        if self.offset + size > self.len:
            raise internal_error("read past end of rust buffer")
        if size == 0:
            return b""
        data = ctypes.string_at(ctypes.addressof(self.data.contents) + self.offset, size)
        self.offset += size
        return data

    return fast_read


def round_trip(binding: Any, value: bytes, write: Write, read: Read) -> bytes:
    """`value` after a trip through a Rust buffer with the given pair of functions."""
    builder = binding._UniffiRustBufferBuilder()
    builder.write_i32(len(value))
    write(builder, value)
    builder.write_u8(7)
    buffer = builder.finalize()
    with buffer.consume_with_stream() as stream:
        size = stream.read_i32()
        data = read(stream, size)
        if stream.read_u8() != 7:
            raise ValueError("the byte after the string is not where it was put")
    return data


def is_known() -> bool:
    """Whether the installed binding is one whose internals were studied."""
    try:
        return version("iroh").startswith(KNOWN_VERSIONS)
    except PackageNotFoundError:
        return False


def apply() -> bool:
    """Installs the fast copies once; returns whether they are in place.

    Never raises: a binding that looks different is left alone, and the log says so.
    """
    try:
        installed = version("iroh")
        if not installed.startswith(KNOWN_VERSIONS):
            log.warning("iroh %s is not a version the fast copy was checked with: transfers will be slow", installed)
            return False
        binding: Any = import_module("iroh.iroh_ffi")

        builder, stream = binding._UniffiRustBufferBuilder, binding._UniffiRustBufferStream
        if builder.write is fast_write:
            return True
        slow: tuple[Write, Read] = (builder.write, stream.read)
        fast: tuple[Write, Read] = (fast_write, make_fast_read(binding.InternalError))
        mixed = (fast, (fast[0], slow[1]), (slow[0], fast[1]))
        agree = all(round_trip(binding, probe, *pair) == probe for probe in _PROBES for pair in mixed)
    except (ImportError, PackageNotFoundError, AttributeError, TypeError, ValueError) as error:
        log.warning("iroh's internals differ (%s): transfers will be slow", error)
        return False
    if not agree:
        log.warning("the fast copy alters byte strings here: transfers will be slow")
        return False
    global original_write
    original_write = builder.write
    builder.write, stream.read = fast
    return True
