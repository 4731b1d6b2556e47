"""Linux: what /sys and /proc tell about disks, USB, serial ports, the processor and memory limits.

Every function takes the root to read from, so that tests can lay out machines that are not at hand.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from depin_desktop.hardware.facts import BlockDevice, SerialPort, UsbDevice

ROOT = Path("/")
_VIRTUAL_DISK = re.compile(r"^(vd|xvd|loop|ram|zram|nbd)")
_WATCHED = ("sys/class/block", "sys/class/tty", "sys/class/gnss", "sys/bus/usb/devices", "proc/driver/nvidia/gpus")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def block_device(device: str, mount: str, root: Path = ROOT) -> BlockDevice | None:
    """The disk behind a mount; None for network and memory file systems, and where /sys does not tell.

    Found by the file system's device number, which works where the name does not: in containers, for `/dev/root`,
    behind links. Btrfs has made-up numbers: there the name has to do.
    """
    node = _by_number(mount, root) or _by_name(device, root)
    if node is None:
        return None
    disk = _whole_disk(_bottom(node))
    name = disk.name
    usb = "usb" in (part[:3] for part in disk.parts)
    card = _text(disk / "device/type") == "SD"
    spinning = _text(disk / "queue/rotational")
    model = _text(disk / "device/model") or _text(disk / "device/name")
    vendor = _text(disk / "device/vendor")
    if model and vendor and not vendor.startswith("0x") and vendor != "ATA" and not model.startswith(vendor):
        model = f"{vendor} {model}"
    return BlockDevice(
        path=f"/dev/{name}",
        model=" ".join(model.split()),
        removable=_text(disk / "removable") == "1" or usb or card,
        # Virtual disks claim to spin whatever they are made of.
        rotational=None if not spinning or _VIRTUAL_DISK.match(name) else spinning == "1",
    )


def _by_number(mount: str, root: Path) -> Path | None:
    try:
        number = os.stat(mount).st_dev
    except OSError:
        return None
    node = root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    return node.resolve() if os.major(number) and node.exists() else None


def _by_name(device: str, root: Path) -> Path | None:
    if not device.startswith("/dev/"):
        return None
    name = os.path.basename(os.path.realpath(device))
    node = root / "sys/class/block" / name
    return node.resolve() if node.exists() else None


def _bottom(node: Path) -> Path:
    """Through encryption, LVM and RAID to the (first) disk underneath."""
    for _ in range(8):
        below = _entries(node / "slaves")
        if not below:
            break
        node = (node / "slaves" / below[0]).resolve()
    return node


def _whole_disk(node: Path) -> Path:
    return node.parent if (node / "partition").exists() else node


def usb_devices(root: Path = ROOT) -> tuple[UsbDevice, ...]:
    """Everything on the USB bus that says what it is, with the serial ports that it provides."""
    ports = serial_ports(root)
    found = []
    for entry in _entries(root / "sys/bus/usb/devices"):
        folder = root / "sys/bus/usb/devices" / entry
        vendor, product = _text(folder / "idVendor").lower(), _text(folder / "idProduct").lower()
        if not vendor:
            continue  # an interface, not a device
        name = " ".join(f"{_text(folder / 'manufacturer')} {_text(folder / 'product')}".split())
        inside = f"{folder.resolve()}{os.sep}"
        own = tuple(port.path for port in ports if f"{_port_node(root, port)}{os.sep}".startswith(inside))
        found.append(UsbDevice(vendor, product, name, own))
    return tuple(found)


def _port_node(root: Path, port: SerialPort) -> Path:
    return (root / "sys/class/tty" / os.path.basename(port.path)).resolve()


def serial_ports(root: Path = ROOT) -> tuple[SerialPort, ...]:
    """Serial ports with hardware behind them, by the lasting names of /dev/serial/by-id where udev made them."""
    lasting = {}
    for entry in _entries(root / "dev/serial/by-id"):
        with contextlib.suppress(OSError):
            lasting[os.path.basename(os.readlink(root / "dev/serial/by-id" / entry))] = entry
    found = []
    for name in _entries(root / "sys/class/tty"):
        node = root / "sys/class/tty" / name
        if not (node / "device").exists() or _text(node / "type") == "0":
            continue  # a virtual terminal, or a port number that the driver keeps without a chip behind it
        usb = _usb_parent(node.resolve(), root)
        vendor = _text(usb / "idVendor").lower() if usb else ""
        product = _text(usb / "idProduct").lower() if usb else ""
        words = f"{_text(usb / 'manufacturer')} {_text(usb / 'product')}" if usb else ""
        label = " ".join(words.split()) or lasting.get(name, "")
        found.append(SerialPort(path=f"/dev/{name}", name=label, vendor=vendor, product=product))
    return tuple(found)


def _usb_parent(node: Path, root: Path) -> Path | None:
    for parent in node.parents:
        if parent == root.resolve():
            break
        if (parent / "idVendor").exists():
            return parent
    return None


def gnss_receivers(root: Path = ROOT) -> tuple[tuple[str, str], ...]:
    """Receivers that the kernel itself drives (phones, boards): (device path, type)."""
    folder = root / "sys/class/gnss"
    return tuple((f"/dev/{name}", _text(folder / name / "type")) for name in _entries(folder))


def cpu_name(root: Path = ROOT) -> str:
    """The processor's name, or the board's where the processor has none (ARM)."""
    text = _text(root / "proc/cpuinfo")
    for key in ("model name", "Model", "Hardware", "cpu model"):
        match = re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE)
        if match:
            return " ".join(match[1].split())
    return _text(root / "proc/device-tree/model").rstrip("\0")


def sha_extensions(root: Path = ROOT) -> bool:
    """True when the processor has instructions for SHA-256."""
    text = _text(root / "proc/cpuinfo")
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return flags is not None and bool({"sha_ni", "sha2"} & set(flags[1].split()))


def memory_limit(root: Path = ROOT) -> int | None:
    """Bytes that this container may use, or None without a limit."""
    for file in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _text(root / file)
        if text.isdigit() and int(text) < 1 << 60:  # the old interface says "no limit" as a huge number
            return int(text)
    return None


def attached(root: Path = ROOT) -> tuple[str, ...]:
    """The names of what is plugged in now; cheap, and different after any hot-plug."""
    return tuple(f"{folder}/{entry}" for folder in _WATCHED for entry in _entries(root / folder))
