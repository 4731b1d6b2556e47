"""The inventory as plain text for a terminal: `depin hardware`."""

from __future__ import annotations

from collections.abc import Iterable

from depin_desktop.api.models import Disk, Gpu, Health, Inventory, NetworkInterface, Sensor
from depin_desktop.core.units import format_size

_NO_VALUE = "–"
_KINDS = {
    "temperature": "temperature",
    "fan": "fan",
    "battery": "battery",
    "gps": "satellite receiver",
    "serial-port": "serial port",
}


def render(inventory: Inventory) -> str:
    """Aligned columns under a heading for each kind of hardware; what is absent is said, not left out."""
    sections = [
        _section("Machine", _machine(inventory), ""),
        _section("Disks", _disks(inventory.disks), "No disk that could hold shared data."),
        _section("Graphics", _gpus(inventory.gpus), "No NVIDIA graphics card."),
        _section("Sensors", _sensors(inventory.sensors), "The system shows no sensors."),
        _section("Network", _interfaces(inventory.interfaces), "No network interface besides the loopback."),
    ]
    if inventory.problems:
        rows = [(problem.probe, problem.message) for problem in inventory.problems]
        sections.append(_section("Could not be asked", rows, ""))
    return "\n\n".join(sections)


def _section(title: str, rows: Iterable[tuple[str, ...]], empty: str) -> str:
    rows = list(rows)
    if not rows:
        return f"{title}\n  {empty}"
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join((title, *(f"  {line}" for line in lines)))


def _machine(inventory: Inventory) -> list[tuple[str, ...]]:
    cpu, memory = inventory.cpu, inventory.memory
    cores = f"{cpu.cores} core{_s(cpu.cores)}, {cpu.threads} thread{_s(cpu.threads)}"
    speed = f", {cpu.frequency_mhz / 1000:.1f} GHz" if cpu.frequency_mhz else ""
    load = f", {cpu.load_percent:.0f} % busy" if cpu.load_percent is not None else ""
    sha = "in hardware" if cpu.sha_extensions else "in software"
    rows = [
        ("Name", inventory.hostname),
        ("System", inventory.system),
        ("Processor", cpu.name),
        ("", f"{cores}{speed}{load}"),
        ("SHA-256", sha),
    ]
    if memory.total_bytes:
        rows.append(("Memory", f"{format_size(memory.available_bytes)} free of {format_size(memory.total_bytes)}"))
    return [tuple(row) for row in rows]


def _disks(disks: Iterable[Disk]) -> list[tuple[str, ...]]:
    return [
        (
            disk.mount,
            f"{format_size(disk.free_bytes)} free of {format_size(disk.total_bytes)}",
            disk.filesystem,
            _disk_kind(disk),
            _health(disk),
            disk.model or disk.device,
        )
        for disk in disks
    ]


def _disk_kind(disk: Disk) -> str:
    words = []
    if disk.rotational is not None:
        words.append("hard disk" if disk.rotational else "solid state")
    if disk.removable:
        words.append("removable")
    if disk.read_only:
        words.append("read-only")
    return ", ".join(words) or "disk"


def _health(disk: Disk) -> str:
    if disk.health is Health.UNKNOWN:
        return f"health unknown: {disk.health_detail}" if disk.health_detail else "health unknown"
    word = "healthy" if disk.health is Health.OK else "FAILING"
    heat = f", {disk.temperature_c:.0f} °C" if disk.temperature_c is not None else ""
    detail = f" ({disk.health_detail})" if disk.health_detail else ""
    return f"{word}{heat}{detail}"


def _gpus(gpus: Iterable[Gpu]) -> list[tuple[str, ...]]:
    return [
        (
            f"{gpu.index}: {gpu.name}",
            f"{format_size(gpu.memory_used_bytes)} used of {format_size(gpu.memory_total_bytes)}"
            if gpu.memory_total_bytes
            else "shared memory",
            _number(gpu.utilisation_percent, " % busy"),
            _number(gpu.temperature_c, " °C"),
            f"{gpu.power_w:.0f} of {gpu.power_limit_w:.0f} W" if gpu.power_w and gpu.power_limit_w else _NO_VALUE,
            f"driver {gpu.driver}",
        )
        for gpu in gpus
    ]


def _sensors(sensors: Iterable[Sensor]) -> list[tuple[str, ...]]:
    return [
        (
            _KINDS.get(sensor.kind, sensor.kind),
            sensor.name,
            "" if sensor.value is None else f"{sensor.value:.0f} {sensor.unit}".strip(),
            sensor.detail,
        )
        for sensor in sensors
    ]


def _interfaces(interfaces: Iterable[NetworkInterface]) -> list[tuple[str, ...]]:
    return [
        (
            interface.name,
            "up" if interface.up else "down",
            f"{interface.speed_mbit} Mbit/s" if interface.speed_mbit else _NO_VALUE,
            ", ".join(interface.addresses) or "no address",
        )
        for interface in interfaces
    ]


def _number(value: float | None, unit: str) -> str:
    return _NO_VALUE if value is None else f"{value:.0f}{unit}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
