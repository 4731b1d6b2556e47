"""Puts together the snapshot that the Storage page shows, from rows, folders and the last proofs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from depin_desktop.api.models import (
    DataSetStatus,
    ProofRecord,
    ServiceKind,
    ServiceState,
    ServiceStatus,
    StorageStatus,
)
from depin_desktop.services.base import Earned
from depin_desktop.services.storage import policy
from depin_desktop.services.storage.deal_store import Contents, DataSet, DealStore, SetState
from depin_desktop.services.storage.folders import Folders
from depin_desktop.services.storage.link import Schedule
from depin_desktop.services.storage.rates import Rates
from depin_desktop.services.storage.store import PieceStore

NOTHING_YET = Earned()


@dataclass(frozen=True)
class Books:
    """What the rows said when they were last read; reading them again is cheap, but not free of a thread hop."""

    sets: tuple[DataSet, ...] = ()
    contents: dict[str, Contents] = field(default_factory=dict)
    proofs: tuple[ProofRecord, ...] = ()
    damaged: int = 0
    earned: Earned = NOTHING_YET

    @property
    def last_proven_at(self) -> float | None:
        return max((one.proven_at for one in self.sets if one.proven_at is not None), default=None)

    @property
    def running(self) -> tuple[DataSet, ...]:
        return tuple(one for one in self.sets if one.state not in (SetState.ENDED, SetState.OPENING))


async def read_books(deals: DealStore, pieces: PieceStore, now: float) -> Books:
    """Reads what the status is made of."""
    sets = await deals.sets(ended=True)
    return Books(
        sets=tuple(sets),
        contents=await deals.contents(),
        proofs=tuple(await deals.records()),
        damaged=await pieces.damaged(),
        earned=Earned(await deals.earned(_midnight(now)), sum(one.paid for one in sets)),
    )


@dataclass(frozen=True)
class Moment:
    """What besides the rows decides the status now; prices in base units."""

    sharing: bool
    chain_problem: str
    missed_at: float | None
    next_proof_at: float | None
    price_per_tib_month: int
    price_per_gib_read: int
    earned: Earned


def storage_status(
    books: Books,
    folders: Folders,
    rates: Rates,
    schedule: Schedule | None,
    moment: Moment,
    clock: Callable[[], float] = time.time,
) -> StorageStatus:
    """The whole snapshot."""
    running = books.running
    state, reason = policy.service_state(
        policy.ServiceFacts(
            sharing=moment.sharing,
            folders=tuple(folder.state for folder in folders),
            chain_problem=moment.chain_problem,
            damaged_pieces=books.damaged,
            missed_period_at=moment.missed_at,
            data_sets=len(running),
            last_proven_at=books.last_proven_at,
            now=clock(),
        )
    )
    return StorageStatus(
        service=_service(books, moment.earned, state, reason),
        folders=tuple(folder.snapshot() for folder in folders),
        data_sets=tuple(_data_set(one, books.contents.get(one.id, Contents()), schedule) for one in running),
        pieces=sum(folder.pieces for folder in folders),
        stored_bytes=sum(folder.stored for folder in folders),
        price_per_tib_month=moment.price_per_tib_month,
        price_per_gib_read=moment.price_per_gib_read,
        last_proven_at=books.last_proven_at,
        next_proof_at=moment.next_proof_at if running else None,
        proofs=books.proofs,
        rates=rates.points,
    )


def _service(books: Books, earned: Earned, state: ServiceState, reason: str) -> ServiceStatus:
    return ServiceStatus(
        kind=ServiceKind.STORAGE,
        state=state,
        reason=reason,
        verified_at=books.last_proven_at,
        earned_today=earned.today,
        earned_total=earned.total,
    )


def _data_set(one: DataSet, contents: Contents, schedule: Schedule | None) -> DataSetStatus:
    ends = float(one.expires)
    if schedule is not None and one.ends_after is not None:
        ends = min(ends, float(schedule.start_of(one.ends_after + 1)))
    return DataSetStatus(
        id="0x" + one.id,
        customer=one.customer,
        stored_bytes=contents.size,
        pieces=contents.pieces,
        price_per_tib_month=0 if schedule is None else policy.tib_month_price(one.price, schedule.period_s),
        earned=one.paid,
        funded=one.escrow,
        last_proven_at=one.proven_at,
        ends_at=ends,
        state=one.state.value,
    )


def _midnight(now: float) -> float:
    """The begin of the local day."""
    return datetime.fromtimestamp(now).astimezone().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
