"""AMD's cards on Linux, through the files that the kernel's amdgpu driver shows of each.

AMD's own library, ROCm SMI, comes with ROCm and reads the same files; they are there on every machine whose card
the kernel drives. Source: docs.kernel.org, "GPU driver documentation", drm/amdgpu (hwmon, sysfs, fdinfo).
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterator
from pathlib import Path

from depin_desktop.api.models import Gpu, GpuProcess
from depin_desktop.hardware.facts import GpuReading

ROOT = Path("/")
PROCESSES_MAX_AGE_S = 20.0  # looking through every process's open files takes tens of milliseconds

_AMD = "0x1002"
_NAMES = ("usr/share/libdrm/amdgpu.ids", "opt/amdgpu/share/libdrm/amdgpu.ids")


class Amdgpu:
    """Asks every AMD card; keeps the processes for a while, as they are dear to find."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._processes: dict[str, tuple[GpuProcess, ...]] = {}
        self._processes_at = float("-inf")

    def read(self) -> GpuReading:
        """Every card once; what a card does not measure is None."""
        folders = list(self._cards())
        if not folders:
            return GpuReading()
        if time.monotonic() - self._processes_at > PROCESSES_MAX_AGE_S:
            self._processes, self._processes_at = _processes(self._root), time.monotonic()
        return GpuReading(tuple(self._card(index, folder) for index, folder in enumerate(folders)))

    def _cards(self) -> Iterator[Path]:
        drm = self._root / "sys/class/drm"
        for name in sorted(name for name in _entries(drm) if re.fullmatch(r"card\d+", name)):
            device = drm / name / "device"
            if _text(device / "vendor") == _AMD and (device / "mem_info_vram_total").exists():
                yield device.resolve()

    def _card(self, index: int, device: Path) -> Gpu:
        sensors = next((device / "hwmon" / name for name in _entries(device / "hwmon")), device / "hwmon")
        address = device.name  # the slot: 0000:03:00.0
        drawn = _number(sensors / "power1_average")
        drawn = _number(sensors / "power1_input") if drawn is None else drawn
        limit, low, high = (_number(sensors / name) for name in ("power1_cap", "power1_cap_min", "power1_cap_max"))
        celsius = _number(sensors / "temp1_input")
        return Gpu(
            index=index,
            uuid=f"AMD-{_text(device / 'unique_id') or address}",
            name=self._name(device),
            driver=f"amdgpu of Linux {platform.release()}",
            memory_total_bytes=int(_number(device / "mem_info_vram_total") or 0),
            memory_used_bytes=int(_number(device / "mem_info_vram_used") or 0),
            utilisation_percent=_number(device / "gpu_busy_percent"),
            temperature_c=None if celsius is None else celsius / 1000,
            power_w=None if drawn is None else drawn / 1e6,
            power_limit_w=None if limit is None else limit / 1e6,
            power_range_w=None if low is None or not high else (low / 1e6, high / 1e6),
            processes=self._processes.get(address, ()),
        )

    def _name(self, device: Path) -> str:
        """What the board calls itself, else what AMD's table calls its chip."""
        own = _text(device / "product_name")
        if own:
            return own
        chip, revision = (_text(device / name).removeprefix("0x").upper() for name in ("device", "revision"))
        for path in _NAMES:
            match = re.search(
                rf"^{chip},\s*{revision.zfill(2)},\s*(.+)$", _text(self._root / path), re.MULTILINE | re.IGNORECASE
            )
            if match:
                return match[1].strip()
        return f"AMD graphics {chip}".strip()


def _processes(root: Path) -> dict[str, tuple[GpuProcess, ...]]:
    """The programs on each card, by the card's slot, as far as this user may look into them."""
    found: dict[str, list[GpuProcess]] = {}
    for entry in _entries(root / "proc"):
        if not entry.isdigit():
            continue
        for address, used in _cards_of(root / "proc" / entry).items():
            name = _text(root / "proc" / entry / "comm") or f"process {entry}"
            found.setdefault(address, []).append(GpuProcess(pid=int(entry), name=name, memory_bytes=used))
    return {address: tuple(sorted(those, key=lambda process: process.pid)) for address, those in found.items()}


def _cards_of(process: Path) -> dict[str, int]:
    """Bytes of each card's memory that one process holds; a client that is open twice counts once."""
    used: dict[tuple[str, str], int] = {}
    for number in _entries(process / "fd"):
        try:
            if not os.readlink(process / "fd" / number).startswith("/dev/dri/"):
                continue
        except OSError:
            continue  # closed meanwhile
        fields = dict(re.findall(r"^([\w-]+):\s*(.+?)\s*$", _text(process / "fdinfo" / number), re.MULTILINE))
        if fields.get("drm-driver") == "amdgpu" and "drm-pdev" in fields:
            size = re.match(r"(\d+)\s*(KiB|MiB)?", fields.get("drm-memory-vram", "0"))
            scale = {"KiB": 1024, "MiB": 2**20}.get(size[2] or "", 1) if size else 1
            used[fields["drm-pdev"], fields.get("drm-client-id", number)] = int(size[1]) * scale if size else 0
    held: dict[str, int] = {}
    for (address, _), count in used.items():
        held[address] = held.get(address, 0) + count
    return held


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if re.fullmatch(r"-?\d+", text) else None


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
