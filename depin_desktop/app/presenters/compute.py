"""The Compute page's head in words: whether it earns, the one reason why not, what it earned, and each device."""

from __future__ import annotations

from dataclasses import dataclass

from depin_desktop.api.compute import CPU, RAY, SERVER, ComputeStatus, DeviceEarnings, JobOutcome
from depin_desktop.api.controls import CardStatus, ControlsStatus
from depin_desktop.api.models import Inventory, ServiceState
from depin_desktop.app.known import Known, Phase
from depin_desktop.app.presenters.common import STATES, Notice, SwitchView
from depin_desktop.app.words import DAY_S, NBSP, Words, ahead, clock, counted, date, exact_amount, full_time, named, tr
from depin_desktop.app.words import age as age_of
from depin_desktop.core.units import format_size, format_tokens

NOTHING = Words("")


@dataclass(frozen=True)
class Reading:
    """One figure under its name; without a unit it is a dash, and the tip says why."""

    name: str
    value: str = "–"
    unit: str = ""
    tip: str = ""


@dataclass(frozen=True)
class DeviceView:
    """One processor or card: what it does now and what it has earned."""

    id: str
    name: str
    full_name: str
    pill: Words
    readings: tuple[Reading, ...]
    earned: Words
    note: Words = NOTHING
    use: SwitchView | None = None


@dataclass(frozen=True)
class EarnedView:
    """The first card: today large, then what has been done."""

    today: str
    unit: str
    today_tip: str
    total: str
    total_tip: str
    jobs: str
    now: str
    waiting: str
    note: Words


def pill(known: Known, now: float) -> Words:
    """The state in a word or two."""
    compute = known.compute
    if not known.link.live:
        if compute is None:
            away = known.link.phase in (Phase.LOST, Phase.FAILED)
            return Words(tr("Offline") if away else tr("Loading…"), "muted")
        return Words(tr("Seen {age}", age=age_of(now, known.heard_at)), "muted", full_time(known.heard_at))
    if compute is None:
        return Words(tr("Loading…"), "muted")
    state = compute.service.state
    if state is ServiceState.EARNING and compute.running:
        return Words(tr("{jobs} now", jobs=counted(compute.running, tr("job"), tr("jobs"))), "accent")
    text, tone = STATES[state]
    return Words(tr(text), tone, compute.service.reason)


def facts(known: Known) -> Words:
    """The line beside the title."""
    compute = known.compute
    if compute is None or not compute.shared:
        return NOTHING
    served = [model for model in compute.models if model.served]
    parts = [tr("{n} of {all} models in memory", n=sum(model.loaded for model in served), all=len(served))]
    if compute.waiting:
        parts.append(tr("{jobs} waiting", jobs=counted(compute.waiting, tr("job"), tr("jobs"))))
    return Words(" · ".join(parts), "muted", "\n".join(model.name for model in served))


def switch(known: Known, busy: bool = False) -> SwitchView:
    """The one switch of this service."""
    compute, label = known.compute, tr("Share compute")
    on = bool(compute and compute.shared)
    if not known.link.live:
        return SwitchView(on, False, label, tr("The engine is away; this shows its last word."))
    if compute is None:
        return SwitchView(on, False, label, tr("The engine has not told yet."))
    if busy:
        return SwitchView(on, False, label, tr("Asking the engine…"))
    tip = tr("Turn off to take no jobs. What runs then is ended, and paid for what was delivered.")
    return SwitchView(on, True, label, tip if on else tr("Turn on to let this machine work for others, and be paid."))


def notice(known: Known, now: float) -> Notice | None:
    """Why nothing runs, in one sentence, and the one thing to do; what is wrong comes before what is wished."""
    compute, controls = known.compute, known.controls
    if not known.link.live or compute is None or not compute.shared:
        return None
    state, reason = compute.service.state, compute.service.reason
    if state is ServiceState.FAULT:
        return Notice(tr("Compute has a fault"), reason, "fault")
    if state is ServiceState.ATTENTION:
        return Notice(tr("Compute needs your attention"), reason, "warning")
    if controls is None or controls.run:
        return Notice(tr("Paused"), reason, "info") if state is ServiceState.PAUSED and reason else None
    headline = tr("Paused")
    if controls.until is not None:
        headline = tr("Paused until {time}, {ahead}", time=clock(controls.until), ahead=ahead(controls.until - now))
        if controls.until - now >= DAY_S:
            headline = tr("Paused until {day}, {time}", day=date(controls.until), time=clock(controls.until))
    sentence = controls.reason
    if controls.finish_current and compute.running:
        running = counted(compute.running, tr("job that runs"), tr("jobs that run"))
        sentence += " " + tr("The {running} may finish.", running=running)
    if controls.pause is not None:
        return Notice(headline, sentence, "info", "resume", tr("Resume now"))
    if known.status is not None and not known.status.sharing:
        return Notice(headline, sentence, "info", "share", tr("Turn sharing on"))
    return Notice(headline, sentence, "info", "rules", tr("See the rules"))


def earned(known: Known) -> EarnedView:
    """What computing has earned."""
    compute, symbol = known.compute, known.symbol
    if compute is None:
        return EarnedView("–", symbol, "", "–", "", "–", "–", "", Words(tr("No figures yet."), "muted"))
    service = compute.service
    return EarnedView(
        format_tokens(service.earned_today),
        symbol,
        exact_amount(service.earned_today, symbol),
        format_tokens(service.earned_total),
        exact_amount(service.earned_total, symbol),
        f"{compute.done_total:,}".replace(",", "\u2009"),
        str(compute.running),
        tr("+ {n} waiting", n=compute.waiting) if compute.waiting else "",
        _earned_note(compute, symbol),
    )


def _earned_note(compute: ComputeStatus, symbol: str) -> Words:
    energy = [device for device in compute.devices if device.energy_wh]
    if energy:
        watt_hours = sum(device.energy_wh or 0.0 for device in energy)
        rate = format_tokens(round(sum(device.earned_total for device in energy) / watt_hours))
        tip = tr("Over {energy} Wh, of devices that show their power.", energy=f"{watt_hours:.3g}")
        return Words(tr("{rate} {symbol} for each Wh drawn", rate=rate, symbol=symbol), "muted", tip)
    if compute.done_total:
        return Words(tr("No device here shows its power, so earnings per Wh are not known."), "muted")
    return Words(tr("Paid by the token, the second or the instruction, while the work runs."), "muted")


# --- devices --------------------------------------------------------------------------------------------------------


def devices(known: Known) -> list[DeviceView]:
    """The processor first, then each card; nothing while nothing is known of the machine."""
    if known.inventory is None and known.controls is None:
        return []
    return [_processor(known), *(_card(card, known) for card in (known.controls.cards if known.controls else ()))]


def _processor(known: Known) -> DeviceView:
    inventory, controls = known.inventory, known.controls
    load = controls.cpu_load_percent if controls else None
    name = inventory.cpu.name if inventory and inventory.cpu.name else tr("Processor")
    cards = controls.cards if controls else ()
    note = NOTHING
    if controls is not None and not cards:
        note = Words(tr("No graphics card was found, which is fine: models then run on the processor."), "muted")
    return DeviceView(
        CPU,
        model_of(name),
        name,
        _device_pill(CPU, known),
        (
            _percent(tr("Load"), load, tr("Of the whole processor, your own programs included.")),
            _memory(controls, inventory),
            _celsius(controls.cpu_temperature_c if controls else None),
            _watts(None),
        ),
        _device_earned(CPU, known),
        note,
    )


def _card(card: CardStatus, known: Known) -> DeviceView:
    gpu, controls = card.gpu, known.controls
    wish = controls.wishes.cards.get(gpu.uuid) if controls else None
    use = wish.use if wish else True
    tip = tr("Turn off to leave this card alone.") if use else tr("Turn on to let work run on this card.")
    note = Words(card.detail, "warning") if card.detail else NOTHING
    if not card.allowed and card.reason and controls is not None and card.reason != controls.reason:
        note = Words(card.reason, "muted", card.detail)
    return DeviceView(
        gpu.uuid,
        model_of(gpu.name),
        gpu.name,
        _card_pill(card, known),
        (
            _percent(tr("Load"), gpu.utilisation_percent, tr("As the driver tells, your own programs included.")),
            Reading(tr("Memory"), *_share(gpu.memory_used_bytes, gpu.memory_total_bytes), _programs(card)),
            _celsius(gpu.temperature_c),
            _watts(gpu.power_w, gpu.power_limit_w),
        ),
        _device_earned(gpu.uuid, known),
        note,
        SwitchView(use, known.link.live, tr("Use {name}", name=gpu.name), tip),
    )


def _programs(card: CardStatus) -> str:
    """Who holds the card's memory, the largest first."""
    held = sorted(card.gpu.processes, key=lambda process: process.memory_bytes or 0, reverse=True)
    lines = [
        process.name + (f" – {format_size(process.memory_bytes)}" if process.memory_bytes else "") for process in held
    ]
    return "\n".join([tr("Driver {version}", version=card.gpu.driver), *lines])


def _device_pill(device: str, known: Known) -> Words:
    compute = known.compute
    if compute is None or not known.link.live:
        return NOTHING
    running = [job for job in compute.jobs if job.outcome is JobOutcome.RUNNING and job.device == device]
    if running:
        return Words(counted(len(running), tr("job"), tr("jobs")), "accent", "\n".join(job.model for job in running))
    if not compute.shared:
        return Words(tr("Off"), "muted")
    if known.controls is not None and not known.controls.run:
        return Words(tr("Paused"), "muted", known.controls.reason)
    return Words(tr("Ready"), "info")


def _card_pill(card: CardStatus, known: Known) -> Words:
    controls = known.controls
    machine_runs = controls is None or controls.run
    if known.link.live and machine_runs and not card.allowed and card.reason:
        wish = controls.wishes.cards.get(card.gpu.uuid) if controls else None
        off = wish is not None and not wish.use
        return Words(tr("Off") if off else tr("Paused"), "muted", card.reason)
    return _device_pill(card.gpu.uuid, known)


def _device_earned(device: str, known: Known) -> Words:
    compute, symbol = known.compute, known.symbol
    found = next((entry for entry in compute.devices if entry.device == device), None) if compute else None
    if found is None or not found.jobs:
        return Words(tr("Nothing earned here yet"), "muted")
    parts = [tr("{amount} {symbol} today", amount=format_tokens(found.earned_today), symbol=symbol)]
    if (rate := per_watt_hour(found)) is not None:
        parts.append(tr("{rate} per Wh", rate=format_tokens(rate)))
    parts.append(counted(found.jobs, tr("job"), tr("jobs")))
    told = [tr("{amount} in total", amount=exact_amount(found.earned_total, symbol))]
    told.append(tr("{time} of work", time=duration(found.busy_s)))
    if found.energy_wh:
        told.append(tr("{energy} Wh drawn for it", energy=f"{found.energy_wh:,.4g}".replace(",", "\u2009")))
    return Words(" · ".join(parts), "muted", "\n".join(told))


def per_watt_hour(device: DeviceEarnings) -> int | None:
    """Base units for each watt hour; None where the power is not known."""
    return round(device.earned_total / device.energy_wh) if device.energy_wh else None


def _percent(name: str, value: float | None, tip: str) -> Reading:
    return Reading(name, tip=tr("Not told here.")) if value is None else Reading(name, str(round(value)), "%", tip)


def _memory(controls: ControlsStatus | None, inventory: Inventory | None) -> Reading:
    if inventory is None:
        return Reading(tr("Memory"))
    total, used = inventory.memory.total_bytes, inventory.memory.total_bytes - inventory.memory.available_bytes
    if controls is not None and controls.memory_used_bytes is not None:
        used = controls.memory_used_bytes
    return Reading(tr("Memory"), *_share(used, total), tr("In use, your own programs included."))


def _share(used: int, total: int) -> tuple[str, str]:
    """Some of a memory as number and unit: "13.0", "of 32 GB"; both in the unit of the whole."""
    whole, unit = format_size(total).rsplit(" ", 1)
    per = total / float(whole) if float(whole) else 1.0
    return f"{used / per:.1f}", tr("of {whole} {unit}", whole=f"{float(whole):.3g}", unit=unit)


def _celsius(value: float | None) -> Reading:
    if value is None:
        return Reading(tr("Heat"), tip=tr("This device does not show its temperature."))
    return Reading(tr("Heat"), str(round(value)), "°C")


def _watts(value: float | None, limit: float | None = None) -> Reading:
    if value is None:
        return Reading(tr("Power"), tip=tr("This device does not show its power."))
    tip = tr("Its limit is {limit} W", limit=round(limit)) if limit else ""
    return Reading(tr("Power"), str(round(value)), "W", tip)


def duration(seconds: float) -> str:
    """A length of time: "840 ms", "3.2 s", "4 min", "2.5 h"."""
    if seconds < 1:
        return f"{round(seconds * 1000)}{NBSP}ms"
    if seconds < 60:
        return f"{seconds:.1f}{NBSP}s"
    if seconds < 3600:
        return f"{round(seconds / 60)}{NBSP}min"
    return f"{seconds / 3600:.1f}{NBSP}h"


_MAKERS = ("NVIDIA GeForce ", "NVIDIA ", "AMD Radeon ", "AMD ", "Intel ", "Apple ")


def model_of(name: str) -> str:
    """A device's name without its maker, for places with little room: "NVIDIA GeForce RTX 4070" → "RTX 4070"."""
    name = name.replace("(R)", "").replace("(TM)", "")
    for maker in _MAKERS:
        if name.startswith(maker) and len(name) > len(maker):
            return named(name[len(maker) :])
    return named(name)


def device_name(device: str, known: Known) -> str:
    """The name of what something runs on, here or elsewhere."""
    if device == CPU:
        return tr("Processor")
    if device.startswith(SERVER):
        return device.removeprefix(SERVER)
    if device.startswith(RAY):
        return tr("Ray at {address}", address=device.removeprefix(RAY))
    for card in known.controls.cards if known.controls else ():
        if card.gpu.uuid == device:
            return model_of(card.gpu.name)
    return tr("Card that is gone")
