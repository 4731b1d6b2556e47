"""The Home page in words."""

from __future__ import annotations

from dataclasses import dataclass

from depin_desktop.api.compute import CPU, ComputeStatus, JobOutcome
from depin_desktop.api.models import (
    Activity,
    EngineStatus,
    ServiceKind,
    ServiceState,
    ServiceStatus,
    StorageStatus,
)
from depin_desktop.app.known import Known, Phase
from depin_desktop.app.presenters import compute as say_compute
from depin_desktop.app.presenters import jobs as say_jobs
from depin_desktop.app.presenters.common import Notice, services, storage_pill, storage_service
from depin_desktop.app.presenters.models import short
from depin_desktop.app.words import (
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

LEAST_POINTS = 7
TOLD_BY_CARDS = ("Nothing is shared yet", "Your wallet is not backed up")
NO_WORDS = Words("")
SERVICE_NAMES = {
    ServiceKind.STORAGE: "storage",
    ServiceKind.COMPUTE: "compute",
    ServiceKind.SENSING: "sensing",
    ServiceKind.RIDES: "rides",
}


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
    status, present = known.status, services(known)
    if status is None or not present:
        return tr("Reading the engine's state…")
    if not status.sharing:
        return tr("Sharing is off. Nothing new is accepted.")
    if status.paused_reason:
        return tr("Paused: {reason}", reason=status.paused_reason)
    return _states(present) + _next_proof(known, now)


_STATE_WORDS = {
    ServiceState.FAULT: ("{names} has a fault.", "{names} have faults."),
    ServiceState.ATTENTION: ("{names} needs your attention.", "{names} need your attention."),
    ServiceState.EARNING: ("{names} is earning.", "{names} are earning."),
    ServiceState.IDLE: ("{names} is ready and waits for its first customer.", "{names} are ready for customers."),
    ServiceState.STARTING: ("{names} is starting.", "{names} are starting."),
    ServiceState.PAUSED: ("{names} is paused.", "{names} are paused."),
}
_TOLD_WITH_REASON = (ServiceState.FAULT, ServiceState.ATTENTION, ServiceState.PAUSED)


def _states(present: list[ServiceStatus]) -> str:
    """What each service does, those of one state together: “Storage and compute are earning.”"""
    sentences = []
    for state, (one, many) in _STATE_WORDS.items():
        found = [entry for entry in present if entry.state is state]
        if not found:
            continue
        names = tr(" and ").join(SERVICE_NAMES[entry.kind] for entry in found)
        sentences.append(tr(one if len(found) == 1 else many, names=names[0].upper() + names[1:]))
        sentences += [found[0].reason] if len(found) == 1 and state in _TOLD_WITH_REASON and found[0].reason else []
    return " ".join(sentences) or tr("Nothing is shared yet.")


def _next_proof(known: Known, now: float) -> str:
    due = known.storage.next_proof_at if known.storage else None
    current = storage_service(known)
    if due is None or current is None or current.state is not ServiceState.EARNING:
        return ""
    return " " + tr("Next proof {ahead}.", ahead=ahead(due - now))


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


@dataclass(frozen=True)
class ComputeCard:
    """The Compute card: `kind` is one of loading, empty, filled."""

    kind: str
    pill: Words
    today: str = ""
    lines: tuple[str, ...] = ()
    loads: tuple[tuple[float, float], ...] = ()
    bars: tuple[tuple[str, str], ...] = ()
    bars_caption: str = ""
    foot: Words = NO_WORDS


def compute_card(known: Known, now: float) -> ComputeCard:
    """What Compute does, in three lines, its load, and how its last jobs ended."""
    pill, compute = say_compute.pill(known, now), known.compute
    if compute is None:
        return ComputeCard("loading", pill)
    if not compute.shared and not compute.jobs:
        return ComputeCard("empty", pill)
    bars = say_jobs.bars(compute.jobs, now)
    good = sum(kind == "proven" for kind, _ in bars)
    return ComputeCard(
        "filled",
        pill,
        format_tokens(compute.service.earned_today),
        (_busiest(known, compute), _in_memory(compute)),
        known.loads.get(_device(known, compute), ()),
        bars,
        tr("Jobs: {good} of {n}", good=good, n=len(bars)) if bars else "",
        _compute_foot(known, compute),
    )


def _device(known: Known, compute: ComputeStatus) -> str:
    """This machine's device of the work that runs now, else its first card, else its processor."""
    cards = [card.gpu.uuid for card in known.controls.cards] if known.controls else []
    running = [job.device for job in compute.jobs if job.outcome is JobOutcome.RUNNING]
    return next((device for device in [*running, *cards] if device in (CPU, *cards)), CPU)


def _busiest(known: Known, compute: ComputeStatus) -> str:
    device = _device(known, compute)
    view = next((entry for entry in say_compute.devices(known) if entry.id == device), None)
    if view is None:
        return tr("Looking around…")
    load, _memory, heat, power = view.readings
    told = [tr("{n} % busy", n=load.value)] if load.unit else []
    told += [f"{reading.value} {reading.unit}" for reading in (heat, power) if reading.unit]
    return " · ".join([say_compute.model_of(view.name), *told])


def _in_memory(compute: ComputeStatus) -> str:
    loaded = [short(model.name, 18) for model in compute.models if model.loaded]
    if loaded:
        more = tr(" and {n} more", n=len(loaded) - 1) if len(loaded) > 1 else ""
        return tr("{name}{more} in memory", name=loaded[0], more=more)
    served = sum(model.served for model in compute.models)
    return tr("{models} offered", models=counted(served, tr("model"), tr("models")))


def _compute_foot(known: Known, compute: ComputeStatus) -> Words:
    state = compute.service.state
    if state in (ServiceState.ATTENTION, ServiceState.FAULT, ServiceState.PAUSED) and compute.service.reason:
        tone = {ServiceState.ATTENTION: "warning", ServiceState.FAULT: "fault"}.get(state, "muted")
        return Words(compute.service.reason, tone, compute.service.reason)
    done = tr("{jobs} done", jobs=counted(compute.done_total, tr("job"), tr("jobs")))
    energy = say_compute.earned(known).note
    return Words(f"{done} · {energy.text}" if any(entry.energy_wh for entry in compute.devices) else done, "muted")


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
