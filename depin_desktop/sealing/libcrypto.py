"""A kernel without SHA instructions: a compiled loop over the functions of OpenSSL that Python itself hashes with.

What it saves is Python's own work for each message, which is most of it where messages are short.
"""

from __future__ import annotations

import _hashlib
import ctypes
import sys

from depin_desktop.sealing.entry import entry
from depin_desktop.sealing.merkle import HASH, LEAF

CONTEXT_BYTES = 256  # a SHA256_CTX has 112
_LIBRARIES = ("libcrypto-3", "libcrypto-3-x64", "libcrypto-3-arm64") if sys.platform == "win32" else ()


def table() -> bytes:
    """The addresses of SHA256_Init, SHA256_Update and SHA256_Final in this process.

    Raises:
        OSError: Python's OpenSSL does not show them.
    """
    for library in (getattr(_hashlib, "__file__", None), *_LIBRARIES):
        try:
            loaded = ctypes.CDLL(library)  # a handle of a library finds what it was linked with
            functions = [getattr(loaded, f"SHA256_{name}") for name in ("Init", "Update", "Final")]
        except (OSError, AttributeError):
            continue
        found = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions)
        return b"".join(address.to_bytes(8, sys.byteorder) for address in found)
    raise OSError("Python's OpenSSL does not show SHA256_Init")


def _many(name: str, message_bytes: int) -> str:
    return f"""
define internal void @{name}(ptr %in, i64 %n, ptr %out, ptr %table) noinline {{
entry:
  %context = alloca [{CONTEXT_BYTES} x i8], align 16
  %init = load ptr, ptr %table
  %updateAt = getelementptr i8, ptr %table, i64 8
  %update = load ptr, ptr %updateAt
  %finalAt = getelementptr i8, ptr %table, i64 16
  %final = load ptr, ptr %finalAt
  %none = icmp eq i64 %n, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %start = mul i64 %i, {message_bytes}
  %from = getelementptr i8, ptr %in, i64 %start
  %end = mul i64 %i, {HASH}
  %to = getelementptr i8, ptr %out, i64 %end
  %begun = call i32 %init(ptr %context)
  %taken = call i32 %update(ptr %context, ptr %from, i64 {message_bytes})
  %ended = call i32 %final(ptr %to, ptr %context)
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}"""


def module() -> str:
    """The LLVM IR, the same for every processor."""
    return entry((), [_many("leaves", LEAF), _many("pairs", 2 * HASH)])
