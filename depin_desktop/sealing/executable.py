"""Executable memory: the one place that asks the operating system to run bytes as code (POSIX and Windows)."""

from __future__ import annotations

import ctypes
import mmap
import sys


class Executable:
    """Machine code that runs where it lies; written first and made executable after, never both at once."""

    def __init__(self, code: bytes) -> None:
        """Maps `code` (which must not refer to anything outside itself).

        Raises:
            OSError: the system does not allow it.
        """
        self.size = len(code)
        self.address = _map_windows(code) if sys.platform == "win32" else self._map_posix(code)

    def _map_posix(self, code: bytes) -> int:
        if sys.platform == "win32":
            raise OSError("not a POSIX system")
        self._memory = mmap.mmap(-1, len(code), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        if libc.mprotect(address, len(code), mmap.PROT_READ | mmap.PROT_EXEC) != 0:
            raise OSError(ctypes.get_errno(), "mprotect failed")
        return address


def _map_windows(code: bytes) -> int:
    if sys.platform != "win32":
        raise OSError("not Windows")
    commit_and_reserve, read_write, execute_read = 0x3000, 0x04, 0x20
    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel32.VirtualAlloc.restype = ctypes.c_void_p
    kernel32.VirtualAlloc.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_uint32)
    kernel32.VirtualProtect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p)
    address = kernel32.VirtualAlloc(None, len(code), commit_and_reserve, read_write)
    if not address:
        raise ctypes.WinError(ctypes.get_last_error())
    ctypes.memmove(address, code, len(code))
    before = ctypes.c_uint32()
    if not kernel32.VirtualProtect(address, len(code), execute_read, ctypes.byref(before)):
        raise ctypes.WinError(ctypes.get_last_error())
    return int(address)
