"""Other systems than Linux: what can be told without asking the system itself; the rest is honestly unknown."""

from __future__ import annotations

import platform
from pathlib import Path

from depin_desktop.hardware.facts import BlockDevice, SerialPort, UsbDevice


def block_device(device: str, mount: str) -> BlockDevice | None:
    """Only whether the disk can be taken away, from where macOS puts such disks."""
    if not device.startswith("/dev/"):
        return None
    return BlockDevice(path=device, removable=mount.startswith("/Volumes/"))


def usb_devices() -> tuple[UsbDevice, ...]:
    return ()


def serial_ports() -> tuple[SerialPort, ...]:
    """The call-out devices of macOS and the BSDs."""
    names = sorted(str(path) for pattern in ("cu.*", "cuaU*") for path in Path("/dev").glob(pattern))
    return tuple(SerialPort(path=name) for name in names if "lock" not in name and "init" not in name)


def gnss_receivers() -> tuple[tuple[str, str], ...]:
    return ()


def cpu_name() -> str:
    return platform.processor() or platform.machine()


def sha_extensions() -> bool:
    """As LLVM sees the processor."""
    from llvmlite import binding  # only here: loading LLVM takes longer than every other probe

    features = binding.get_host_cpu_features()
    return bool(features.get("sha") or features.get("sha2"))


def memory_limit() -> int | None:
    return None


def attached() -> tuple[str, ...]:
    return tuple(port.path for port in serial_ports())
