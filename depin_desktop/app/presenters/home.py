"""The Home page in words."""

from __future__ import annotations

from dataclasses import dataclass

from depin_desktop.api.models import Activity, Disk, EngineStatus, Gpu, Health, Inventory, ServiceState, StorageStatus
from depin_desktop.app.known import Known, Phase
from depin_desktop.app.presenters.common import Notice, service, storage_pill
from depin_desktop.app.words import (
    NBSP,
    Words,
    age,
    ahead,
    clock,
    counted,
    day,
    exact_amount,
    full_time,
    moment,
    signed_amount,
    tr,
)
from depin_desktop.core.units import format_size, format_tokens

MAX_ROWS_OF_A_KIND = 3
LEAST_POINTS = 7
TOLD_BY_CARDS = ("Nothing is shared yet", "Your wallet is not backed up")
NO_WORDS = Words("")


@dataclass(frozen=True)
class Row:
    """One line of the machine card, or of the activity list."""

    icon: str
    title: str
    detail: str = ""
    tone: str = "muted"
    tip: str = ""


@dataclass(frozen=True)
class Earnings:
    """The big card. Amounts are formatted; None while nothing is known."""

    today: str | None
    total: str | None
    pending: str | None
    unit: str
    note: Words
    today_tip: str = ""
    total_tip: str = ""
    pending_tip: str = ""


@dataclass(frozen=True)
class StorageCard:
    """The Storage card: `kind` is one of loading, empty, filled."""

    kind: str
    pill: Words
    today: str = ""
    lines: tuple[str, ...] = ()
    foot: Words = NO_WORDS


@dataclass(frozen=True)
class ActivityRow:
    """One thing that happened."""

    time: str
    time_tip: str
    title: str
    detail: str
    amount: str
    tone: str


def greeting(now: float) -> str:
    """By the local hour."""
    hour = moment(now).time().hour()
    if 5 <= hour < 12:
        return tr("Good morning")
    return tr("Good afternoon") if 12 <= hour < 18 else tr("Good evening")


def summary(known: Known, now: float) -> str:
    """The sentence under the greeting."""
    if not known.link.live:
        return {
            Phase.CONNECTING: tr("Connecting to the engine…"),
            Phase.STARTING: tr("Starting the engine…"),
            Phase.LOST: tr("The engine is away. These are its last figures."),
            Phase.FAILED: tr("The engine is not running."),
        }[known.link.phase]
    status, current = known.status, service(known.status, known.storage)
    if status is None or current is None:
        return tr("Reading the engine's state…")
    if not status.sharing:
        return tr("Sharing is off. Nothing new is accepted.")
    if status.paused_reason:
        return tr("Paused: {reason}", reason=status.paused_reason)
    sentence = {
        ServiceState.EARNING: tr("Storage is earning."),
        ServiceState.IDLE: tr("Storage is ready and waits for its first customer."),
        ServiceState.STARTING: tr("Storage is starting."),
        ServiceState.OFF: tr("Nothing is shared yet."),
        ServiceState.PAUSED: tr("Storage is paused."),
        ServiceState.ATTENTION: tr("Storage needs your attention."),
        ServiceState.FAULT: tr("Storage has a fault."),
    }[current.state]
    if current.state in (ServiceState.ATTENTION, ServiceState.FAULT, ServiceState.PAUSED) and current.reason:
        return f"{sentence} {current.reason}"
    due = known.storage.next_proof_at if known.storage else None
    if current.state is ServiceState.EARNING and due is not None:
        return f"{sentence} " + tr("Next proof {ahead}.", ahead=ahead(due - now))
    return sentence


def earnings(known: Known) -> Earnings:
    """Today, in total, and what is earned but not yet paid out."""
    status = known.status
    if status is None:
        return Earnings(None, None, None, "", Words(tr("No figures yet."), "muted"))
    symbol = status.network.symbol
    claimed = known.wallet.claimed if known.wallet else None
    pending = format_tokens(status.pending)
    note = tr("{pending} pending until the batch is worth its fee", pending=pending)
    if claimed:
        note = tr("{claimed} paid out", claimed=format_tokens(claimed)) + " · " + note
    if status.pending == 0:
        note = tr("Everything earned has been paid out.") if status.earned_total else tr("Nothing earned yet.")
    return Earnings(
        format_tokens(status.earned_today),
        format_tokens(status.earned_total),
        pending,
        symbol,
        Words(note, "muted"),
        exact_amount(status.earned_today, symbol),
        exact_amount(status.earned_total, symbol),
        exact_amount(status.pending, symbol),
    )


def earnings_series(status: EngineStatus | None) -> list[tuple[float, float]]:
    """Points of the earnings plot: (start of the bucket, whole tokens)."""
    if status is None or not any(point.amount for point in status.earnings):
        return []  # a line of zeros says less than the sentence that stands there otherwise
    points = [(point.at, point.amount / 1e18) for point in status.earnings]
    first = next(index for index, (_, amount) in enumerate(points) if amount)
    return points[max(0, min(first - 1, len(points) - LEAST_POINTS)) :]  # not weeks from before there was anything


def span_label(points: list[tuple[float, float]], at: float) -> str:
    """A tick's text: the hour while the plot covers less than three days, else the day."""
    return clock(at) if points and points[-1][0] - points[0][0] < 3 * 86_400 else day(at)


def storage_card(known: Known, now: float) -> StorageCard:
    """What Storage does, in three lines."""
    pill, storage = storage_pill(known, now), known.storage
    if storage is None:
        return StorageCard("loading", pill)
    if not storage.folders:
        return StorageCard("empty", pill)
    return StorageCard(
        "filled",
        pill,
        format_tokens(storage.service.earned_today),
        _storage_lines(storage),
        _storage_foot(storage, now),
    )


def _storage_lines(storage: StorageStatus) -> tuple[str, ...]:
    allocated = sum(folder.allocated_bytes for folder in storage.folders)
    customers = len({entry.customer for entry in storage.data_sets})
    return (
        tr("{used} of {all} allocated", used=format_size(storage.stored_bytes), all=format_size(allocated)),
        f"{counted(customers, tr('customer'), tr('customers'))} · {counted(storage.pieces, tr('piece'), tr('pieces'))}",
    )


def _storage_foot(storage: StorageStatus, now: float) -> Words:
    if storage.service.state in (ServiceState.ATTENTION, ServiceState.FAULT) and storage.service.reason:
        tone = "warning" if storage.service.state is ServiceState.ATTENTION else "fault"
        return Words(storage.service.reason, tone, storage.service.reason)
    folders = counted(len(storage.folders), tr("folder"), tr("folders"))
    if storage.last_proven_at is None:
        return Words(f"{folders} · " + tr("nothing proven yet"), "muted")
    proven = tr("last proof {age}", age=age(now, storage.last_proven_at))
    return Words(f"{folders} · {proven}", "muted", full_time(storage.last_proven_at))


def advice(known: Known) -> list[Notice]:
    """Sentences that ask for the owner, but for those that a card of this page says already, with a button."""
    told = known.status.advice if known.status else ()
    return [Notice("", sentence, "warning") for sentence in told if not sentence.startswith(TOLD_BY_CARDS)]


def backup(known: Known, *, always: bool = False) -> Notice | None:
    """The banner that asks for a backup of the wallet; `always` also where tokens have no value."""
    worthless = known.status is not None and known.status.network.private
    if known.wallet is None or known.wallet.backed_up or (worthless and not always):
        return None
    return Notice(
        tr("Your wallet is not backed up"),
        tr("Twelve words on paper are the only way back if this computer is lost."),
        "warning",
        "backup",
        tr("Back up now…"),
    )


def activity_rows(known: Known, limit: int = 12) -> list[ActivityRow]:
    """The newest first."""
    if known.status is None:
        return []
    newest = sorted(known.status.activity, key=lambda entry: entry.at, reverse=True)[:limit]
    return [_activity_row(entry, known.symbol) for entry in newest]


def _activity_row(entry: Activity, symbol: str) -> ActivityRow:
    tone = "fault" if entry.kind == "fault" else "text"
    return ActivityRow(
        clock(entry.at),
        full_time(entry.at),
        entry.title,
        entry.detail,
        signed_amount(entry.amount) if entry.amount else "",
        tone,
    )


def machine_rows(inventory: Inventory | None) -> list[Row]:
    """What this machine has: processor, memory, disks, graphics, sensors, network, and probes that failed."""
    if inventory is None:
        return []
    rows = [_cpu(inventory), _memory(inventory)]
    rows += _some([_disk(disk) for disk in inventory.disks], "disk")
    rows += _some([_gpu(gpu) for gpu in inventory.gpus], "gpu") or [
        Row("gpu", tr("No GPU found"), tr("None that NVIDIA's driver reports"))
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
    return Row("chip", cpu.name or tr("Processor"), " · ".join(parts), "muted", f"{cpu.name}\n{tip}")


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
    return Row("gpu", gpu.name, " · ".join(parts), "muted", tr("Driver {version}", version=gpu.driver))


def _sensors(inventory: Inventory) -> Row:
    sensors = inventory.sensors
    if not sensors:
        return Row("sensor", tr("No sensors found"), tr("Plug one in; it appears by itself"))
    told = [
        f"{sensor.name} {round(sensor.value, 1):g}{NBSP}{sensor.unit}" if sensor.value is not None else sensor.name
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
