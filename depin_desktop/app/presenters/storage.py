"""The Storage page in words: folders, sizes that can be chosen, proofs, rates, data sets."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from dataclasses import dataclass

from depin_desktop.api.models import (
    DataSetStatus,
    Disk,
    FolderState,
    Health,
    Inventory,
    ProofRecord,
    RatePoint,
    SharedFolder,
    StorageStatus,
)
from depin_desktop.app.known import Known
from depin_desktop.app.presenters.common import operator_run
from depin_desktop.app.words import Words, age, ahead, counted, full_time, short_address, tr, when
from depin_desktop.core.units import format_rate, format_size, format_tokens

GB = 10**9
SMALLEST_SHARE = 20 * 10**6
GUARD_SHARE = 20  # a twentieth of the disk stays free, as the engine has it for new folders
GUARD_AT_MOST = 10 * GB
NOW_POINTS = 5


@dataclass(frozen=True)
class Segment:
    """One stretch of an allocation bar."""

    size: int
    kind: str  # stored | rentable | yours | free
    label: str
    tip: str


@dataclass(frozen=True)
class SizeRange:
    """What a slider may choose, in bytes, and what it stands at."""

    smallest: int
    largest: int
    step: int
    value: int

    @property
    def usable(self) -> bool:
        return self.largest >= self.smallest


@dataclass(frozen=True)
class FolderCard:
    """One shared folder."""

    id: str
    path: str
    name: str
    place: str
    pill: Words
    segments: tuple[Segment, ...]
    sizes: SizeRange
    can_resize: bool
    can_stop: bool
    foot: Words
    detail: Words | None


_FOLDER_WORDS: dict[FolderState, tuple[str, str]] = {
    FolderState.OK: ("Ready", "info"),
    FolderState.FULL: ("Full", "info"),
    FolderState.SHRINKING: ("Shrinking", "info"),
    FolderState.READ_ONLY: ("Read-only", "fault"),
    FolderState.MISSING: ("Missing", "fault"),
    FolderState.FOREIGN: ("Another node’s", "fault"),
    FolderState.SLOW: ("Slow", "warning"),
    FolderState.LEAVING: ("Leaving", "muted"),
}

_FOLDER_REMEDIES: dict[FolderState, str] = {
    FolderState.FULL: "Full. Give it more space to take in more.",
    FolderState.SHRINKING: "Takes nothing new until what is stored fits the smaller size.",
    FolderState.READ_ONLY: "The disk refuses writes. Check its cable and health, then mount it writable.",
    FolderState.MISSING: "The folder is gone. Plug its disk back in, or mount it, before the next proof.",
    FolderState.FOREIGN: "The folder belongs to another node. Choose another, or run that node here.",
    FolderState.SLOW: "The disk took too long to answer. If it stays so, move the folder to another disk.",
    FolderState.LEAVING: "Keeps what is paid for until those deals end, and takes nothing new.",
}


def folder_card(folder: SharedFolder, inventory: Inventory | None, now: float, live: bool) -> FolderCard:
    """Everything one folder's card shows."""
    disk = disk_of(folder.path, inventory)
    gone = folder.state in (FolderState.MISSING, FolderState.FOREIGN)
    place = [_short(folder.path), folder.filesystem]
    if disk is not None and disk.health is Health.OK:
        place.append(tr("healthy (SMART)"))
    if disk is not None and disk.health is Health.FAILING:
        place.append(tr("failing (SMART)"))
    if disk is not None and disk.temperature_c is not None:
        place.append(f"{round(disk.temperature_c)} °C")
    foot = counted(folder.pieces, tr("piece"), tr("pieces"))
    if folder.checked_at is not None:
        foot += " · " + tr("checked {age}", age=age(now, folder.checked_at))
    leaving = folder.state is FolderState.LEAVING
    return FolderCard(
        folder.id,
        folder.path,
        os.path.basename(folder.path.rstrip("/\\")) or folder.path,
        " · ".join(part for part in place if part),
        folder_pill(folder),
        () if gone else segments(folder),
        folder_sizes(folder),
        live and not gone and not leaving,
        live and not leaving,
        Words(foot, "faint", full_time(folder.checked_at)),
        _folder_detail(folder),
    )


def _short(path: str) -> str:
    """The path as its owner writes it: below one's own folder it begins with a tilde."""
    own = os.path.expanduser("~")
    return "~" + path[len(own) :] if own != "/" and path.startswith(own + os.sep) else path


def folder_pill(folder: SharedFolder) -> Words:
    """The folder's state in a word."""
    if folder.state is FolderState.OK and folder.pieces:
        return Words(tr("In use"), "accent", folder.detail)
    text, tone = _FOLDER_WORDS[folder.state]
    return Words(tr(text), tone, folder.detail)


def _folder_detail(folder: SharedFolder) -> Words | None:
    remedy = tr(_FOLDER_REMEDIES[folder.state]) if folder.state in _FOLDER_REMEDIES else ""
    text = folder.detail or remedy
    if not text:
        return None
    tone = _FOLDER_WORDS[folder.state][1]
    return Words(text, "muted" if tone == "info" else tone, remedy)


def segments(folder: SharedFolder) -> tuple[Segment, ...]:
    """The disk from left to right: stored for customers, free to rent, the owner's own, kept free."""
    held = folder.stored_bytes + folder.reserved_bytes
    rentable = max(0, folder.allocated_bytes - held)
    yours = max(0, folder.disk_total_bytes - folder.disk_free_bytes - folder.stored_bytes)
    free = max(0, folder.disk_total_bytes - held - rentable - yours)
    guard = tr("At least {size} of this disk is always kept free", size=format_size(folder.keep_free_bytes))
    stored_tip = tr("{size} on the way", size=format_size(folder.reserved_bytes)) if folder.reserved_bytes else ""
    return (
        Segment(held, "stored", tr("{size} stored", size=format_size(held)), stored_tip),
        Segment(rentable, "rentable", tr("{size} free to rent", size=format_size(rentable)), ""),
        Segment(yours, "yours", tr("{size} yours", size=format_size(yours)), tr("Everything else on this disk")),
        Segment(free, "free", tr("{size} kept free", size=format_size(free)), guard),
    )


def folder_sizes(folder: SharedFolder) -> SizeRange:
    """The sizes a shared folder may be given; what is stored can be undercut, it then shrinks as customers leave."""
    held = folder.stored_bytes + folder.reserved_bytes
    largest = held + max(0, folder.disk_free_bytes - folder.keep_free_bytes)
    return _sizes(max(largest, folder.allocated_bytes), folder.allocated_bytes)


def _sizes(largest: int, value: int) -> SizeRange:
    step = next(size for size in (10**7, 10**8, GB, 10 * GB, 10**12) if largest <= 500 * size or size == 10**12)
    return SizeRange(SMALLEST_SHARE, largest, step, value)


def disk_of(path: str, inventory: Inventory | None) -> Disk | None:
    """The disk that holds `path`: the one whose mount point is its longest prefix."""
    if inventory is None:
        return None
    holding = [disk for disk in inventory.disks if _inside(path, disk.mount)]
    return max(holding, key=lambda disk: len(disk.mount), default=None)


def _inside(path: str, mount: str) -> bool:
    path, mount = os.path.normcase(os.path.normpath(path)), os.path.normcase(os.path.normpath(mount))
    return path == mount or path.startswith(mount.rstrip("/\\") + os.sep)


def guard_bytes(disk_total: int) -> int:
    """What a new share leaves free for the owner and for the system."""
    return min(GUARD_AT_MOST, disk_total // GUARD_SHARE)


def new_share_sizes(disk_total: int, disk_free: int) -> SizeRange:
    """Sizes for a new folder; half of what is free after the guard is the default."""
    largest = max(0, disk_free - guard_bytes(disk_total))
    sizes = _sizes(largest, 0)
    half = max(SMALLEST_SHARE, largest // 2 // sizes.step * sizes.step)
    return SizeRange(sizes.smallest, largest, sizes.step, min(half, max(largest, sizes.smallest)))


@dataclass(frozen=True)
class ShareForm:
    """What the dialog for a new folder says about the folder typed into it."""

    disk: Words
    sizes: SizeRange
    problem: str
    can_share: bool


def share_form(path: str, inventory: Inventory | None, storage: StorageStatus | None) -> ShareForm:
    """Judges a path: which disk it is on, how much may be shared there, and why not."""
    none = SizeRange(SMALLEST_SHARE, 0, GB, 0)
    if not path.strip():
        return ShareForm(Words(tr("Choose a folder on the disk that you want to share."), "muted"), none, "", False)
    if not os.path.isabs(path):
        return ShareForm(Words(""), none, tr("Write the whole path, from the root of the disk."), False)
    if storage and any(os.path.normpath(folder.path) == os.path.normpath(path) for folder in storage.folders):
        return ShareForm(Words(""), none, tr("This folder is shared already. Change its size on its card."), False)
    disk = disk_of(path, inventory)
    if disk is None:
        return ShareForm(Words(""), none, tr("No disk is known for this path. Press F5 to look again."), False)
    name = disk.model or disk.device
    about = tr(
        "{name}, {filesystem}: {free} free of {all}",
        name=name,
        filesystem=disk.filesystem,
        free=format_size(disk.free_bytes),
        all=format_size(disk.total_bytes),
    )
    if disk.removable:
        about += " · " + tr("removable: it must stay plugged in")
    sizes = new_share_sizes(disk.total_bytes, disk.free_bytes)
    problem = ""
    if disk.read_only:
        problem = tr("This disk is read-only. Mount it writable first.")
    elif disk.health is Health.FAILING:
        problem = tr("This disk reports that it is failing. Do not share it: lost pieces cost stake.")
    elif not sizes.usable:
        problem = tr("This disk is too full: {size} must stay free.", size=format_size(guard_bytes(disk.total_bytes)))
    return ShareForm(Words(about, "muted", disk.mount), sizes, problem, not problem)


def stop_sentences(folder: SharedFolder) -> tuple[str, ...]:
    """What happens when sharing stops, for the question before it."""
    if not folder.pieces:
        return (
            tr("{path} holds no pieces. It stops being shared at once.", path=folder.path),
            tr("Nothing of your own is touched."),
        )
    held = counted(folder.pieces, tr("paid piece"), tr("paid pieces"))
    return (
        tr("{path} accepts nothing new from now on.", path=folder.path),
        tr(
            "{held} ({size}) stay and keep earning until their deals end. Leave the disk plugged in: "
            "a piece that is lost before costs stake.",
            held=held,
            size=format_size(folder.stored_bytes),
        ),
        tr("The folder leaves this page when the last of them has ended. Nothing of your own is touched."),
    )


def page_facts(storage: StorageStatus | None, now: float) -> Words:
    """The line beside the page's title."""
    if storage is None or not storage.folders:
        return Words("")
    parts = [counted(storage.pieces, tr("piece"), tr("pieces")), format_size(storage.stored_bytes)]
    if storage.next_proof_at is not None:
        parts.append(tr("next proof {ahead}", ahead=ahead(storage.next_proof_at - now)))
    return Words(" · ".join(parts), "muted", full_time(storage.next_proof_at))


def current_rate(points: Sequence[RatePoint], direction: str) -> tuple[str, str]:
    """The rate now as (number, unit): the mean of the newest points, so that it can be read before it changes."""
    newest = [float(getattr(point, direction)) for point in points[-NOW_POINTS:]]
    value = sum(newest) / len(newest) if newest else 0.0
    number, unit = format_rate(value).rsplit(" ", 1)
    return number, unit


@dataclass(frozen=True)
class Proofs:
    """The proof card: bars from old to new, and how many of them were proven."""

    proven: str
    of: str
    bars: tuple[tuple[str, str], ...]  # (proven | missed, tooltip)
    sentence: str
    last: Words


def proofs(records: Sequence[ProofRecord], symbol: str, now: float, slots: int = 30) -> Proofs:
    """The last `slots` proving periods; a period without data sets of ours has no record and no bar."""
    ordered = sorted(records, key=lambda record: record.period)[-slots:]
    bars = []
    for record in ordered:
        outcome = tr("proven") if record.proven else tr("missed")
        tip = tr("Period {n}: {outcome}", n=record.period, outcome=outcome) + f"\n{full_time(record.at)}"
        if record.paid:
            tip += "\n" + tr("{amount} {symbol} earned", amount=format_tokens(record.paid), symbol=symbol)
        if record.detail:
            tip += f"\n{record.detail}"
        bars.append(("proven" if record.proven else "missed", tip))
    good = sum(record.proven for record in ordered)
    return Proofs(
        str(good) if ordered else "–",
        tr("of {n}", n=len(ordered)) if ordered else "",
        tuple(bars),
        "" if ordered else tr("No proof was due yet."),
        _last_proof(ordered, symbol, now),
    )


def proof_caution(known: Known) -> str:
    """What the proofs are not, where that has to be said."""
    return operator_run() if known.status is not None and known.status.network.private else ""


def _last_proof(ordered: Sequence[ProofRecord], symbol: str, now: float) -> Words:
    if not ordered:
        return Words("")
    last = ordered[-1]
    if not last.proven:
        return Words(tr("Missed {age}", age=age(now, last.at)), "fault", last.detail or full_time(last.at))
    text = tr("Last {age}", age=age(now, last.at))
    if last.paid:
        text += f" · +{format_tokens(last.paid)} {symbol}"
    return Words(text, "muted", full_time(last.at))


DATA_SET_COLUMNS = ("Customer", "Stored", "Pieces", "Price / TiB·month", "Last proof", "Ends", "Earned")
DATA_SET_RIGHT = frozenset({1, 2, 3, 6})
_SET_STATES = {
    "active": ("active", "text"),
    "unfunded": ("escrow empty", "warning"),
    "ending": ("leaving", "info"),
    "ended": ("ended", "faint"),
}


def data_set_cell(entry: DataSetStatus, column: int, now: float) -> Words:
    """One cell of the data set table."""
    if column == 0:
        return Words(short_address(entry.customer), "text", entry.customer)
    if column == 1:
        return Words(format_size(entry.stored_bytes))
    if column == 2:
        return Words(str(entry.pieces))
    if column == 3:
        return Words(format_tokens(entry.price_per_tib_month))
    if column == 4:
        return Words(when(now, entry.last_proven_at), "text", full_time(entry.last_proven_at))
    if column == 5:
        if entry.state != "active":
            text, tone = _SET_STATES.get(entry.state, (entry.state, "muted"))
            return Words(tr(text), tone, full_time(entry.ends_at))
        if entry.ends_at is None:
            return Words(tr("open"), "muted")
        return Words(ahead(entry.ends_at - now), "text", full_time(entry.ends_at))
    return Words(format_tokens(entry.earned), "text", tr("{amount} left in escrow", amount=format_tokens(entry.funded)))


def data_set_sort_key(entry: DataSetStatus, column: int) -> float | str:
    """What a column is ordered by."""
    keys: tuple[float | str, ...] = (
        entry.customer.lower(),
        entry.stored_bytes,
        entry.pieces,
        entry.price_per_tib_month / 1e18,
        entry.last_proven_at or 0.0,
        entry.ends_at or float("inf"),
        entry.earned / 1e18,
    )
    return keys[column]


def data_sets_summary(entries: Sequence[DataSetStatus]) -> str:
    """The line beside the table's title."""
    customers = counted(len({entry.customer for entry in entries}), tr("customer"), tr("customers"))
    pieces = counted(sum(entry.pieces for entry in entries), tr("piece"), tr("pieces"))
    return f"{customers}, {pieces}"
