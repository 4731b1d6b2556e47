"""What this machine has, in rows."""

from __future__ import annotations

from dataclasses import dataclass

from depin_desktop.api.models import Disk, Gpu, Health, Inventory
from depin_desktop.app.words import NBSP, counted, named, tr
from depin_desktop.core.units import format_size

MAX_ROWS_OF_A_KIND = 3


@dataclass(frozen=True)
class Row:
    """One line of the card."""

    icon: str
    title: str
    detail: str = ""
    tone: str = "muted"
    tip: str = ""


def machine_rows(inventory: Inventory | None) -> list[Row]:
    """What this machine has: processor, memory, disks, graphics, sensors, network, and probes that failed."""
    if inventory is None:
        return []
    rows = [_cpu(inventory), _memory(inventory)]
    rows += _some([_disk(disk) for disk in inventory.disks], "disk")
    rows += _some([_gpu(gpu) for gpu in inventory.gpus], "gpu") or [
        Row("gpu", tr("No GPU found"), tr("None that a driver reports"))
    ]
    rows += [_sensors(inventory), _interfaces(inventory)]
    rows += [
        Row(
            "warning", tr("{probe} could not be read", probe=problem.probe), problem.message, "warning", problem.message
        )
        for problem in inventory.problems
    ]
    return rows


def _some(rows: list[Row], icon: str) -> list[Row]:
    if len(rows) <= MAX_ROWS_OF_A_KIND + 1:
        return rows
    rest = rows[MAX_ROWS_OF_A_KIND:]
    tip = "\n".join(f"{row.title} – {row.detail}" for row in rest)
    return [*rows[:MAX_ROWS_OF_A_KIND], Row(icon, tr("and {n} more", n=len(rest)), "", "muted", tip)]


def _cpu(inventory: Inventory) -> Row:
    cpu = inventory.cpu
    parts = [counted(cpu.cores, tr("core"), tr("cores"))]
    if cpu.load_percent is not None:
        parts.append(tr("{n} % busy", n=round(cpu.load_percent)))
    tip = tr("{threads} threads", threads=cpu.threads)
    if cpu.frequency_mhz:
        tip += f", {cpu.frequency_mhz / 1000:.1f} GHz"
    tip += "\n" + (tr("Seals at hardware speed (SHA extensions)") if cpu.sha_extensions else tr("No SHA extensions"))
    return Row("chip", named(cpu.name) or tr("Processor"), " · ".join(parts), "muted", f"{cpu.name}\n{tip}")


def _memory(inventory: Inventory) -> Row:
    memory = inventory.memory
    free = tr("{free} of {all} free", free=format_size(memory.available_bytes), all=format_size(memory.total_bytes))
    return Row("memory", tr("Memory"), free)


def _disk(disk: Disk) -> Row:
    parts = [tr("{free} of {all} free", free=format_size(disk.free_bytes), all=format_size(disk.total_bytes))]
    tone = "muted"
    if disk.read_only:
        parts.append(tr("read-only"))
        tone = "warning"
    if disk.health is Health.FAILING:
        parts, tone = [tr("failing: copy its data elsewhere"), *parts], "fault"
    elif disk.health is Health.OK:
        parts.append(tr("healthy"))
    if disk.temperature_c is not None:
        parts.append(f"{round(disk.temperature_c)} °C")
    tip = " · ".join(
        part for part in (disk.model, disk.device, disk.filesystem, disk.mount, disk.health_detail) if part
    )
    return Row("disk", disk.mount, " · ".join(parts), tone, tip)


def _gpu(gpu: Gpu) -> Row:
    parts = [tr("{used} of {all}", used=format_size(gpu.memory_used_bytes), all=format_size(gpu.memory_total_bytes))]
    if gpu.temperature_c is not None:
        parts.append(f"{round(gpu.temperature_c)} °C")
    if gpu.power_w is not None:
        parts.append(f"{round(gpu.power_w)} W")
    if gpu.utilisation_percent is not None:
        parts.append(tr("{n} % busy", n=round(gpu.utilisation_percent)))
    return Row("gpu", named(gpu.name), " · ".join(parts), "muted", tr("Driver {version}", version=gpu.driver))


def _sensors(inventory: Inventory) -> Row:
    sensors = inventory.sensors
    if not sensors:
        return Row("sensor", tr("No sensors found"), tr("Plug one in; it appears by itself"))
    told = [
        named(
            f"{sensor.name} {round(sensor.value, 1):g}{NBSP}{sensor.unit}" if sensor.value is not None else sensor.name
        )
        for sensor in sensors
    ]
    tip = "\n".join(f"{text} ({sensor.detail or sensor.kind})" for text, sensor in zip(told, sensors, strict=True))
    return Row("sensor", counted(len(sensors), tr("sensor"), tr("sensors")), ", ".join(told), "muted", tip)


def _interfaces(inventory: Inventory) -> Row:
    up = [interface for interface in inventory.interfaces if interface.up]
    if not up:
        return Row("network", tr("Network"), tr("not connected"), "warning")
    told = [
        interface.name + (f" {interface.speed_mbit}{NBSP}Mbit/s" if interface.speed_mbit else "") for interface in up
    ]
    tip = "\n".join(f"{interface.name}: {', '.join(interface.addresses) or '–'}" for interface in up)
    return Row("network", tr("Network"), ", ".join(told), "muted", tip)
