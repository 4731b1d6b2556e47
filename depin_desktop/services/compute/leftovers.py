"""What a killed process has left unwritten: rows of jobs that were over, and of those that it was in the middle of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from depin_desktop.api.compute import JobOutcome
from depin_desktop.core.database import Database
from depin_desktop.payments.store import ChannelStore
from depin_desktop.services.compute.journal import Journal, Left, Line
from depin_desktop.services.compute.store import Ended, JobStore

log = logging.getLogger(__name__)


async def take_up(journal: Journal, store: JobStore, database: Database) -> None:
    """Opens the journal and writes the rows that are missing; to be called before anything new is charged."""
    left = await asyncio.to_thread(journal.open)
    found = [*left.ended, *await _interrupted(left, database)]
    missing = await store.missing([one.job.id for one in found])
    rows = sorted((one for one in found if one.job.id in missing), key=lambda one: one.job.queued_at)
    if rows:
        log.info("%d jobs of the engine before this one are written now", len(rows))
        await store.record(rows)
    journal.settle(one.job.id for one in found)


async def _interrupted(left: Left, database: Database) -> Sequence[Ended]:
    if not left.begun:
        return ()
    channels = ChannelStore(database)
    await channels.open()

    def paid(line: Line) -> int:
        """A job has its channel for itself, so whatever that was charged since is the job's."""
        channel = channels.channels.get(bytes.fromhex(line.channel))
        return max(0, channel.book.charged - line.charged) if channel else 0

    return [_ended(line, paid(line), left.alive_at) for line in left.begun]


def _ended(line: Line, paid: int, alive_at: float) -> Ended:
    said = "It had been charged by then." if paid else "Nothing was charged."
    changes = {
        "outcome": JobOutcome.INTERRUPTED,
        "ended_at": max(alive_at, line.job.started_at or line.job.queued_at),
        "earned": paid,
        "log": f"{line.job.log}\nThe engine was ended in the middle of it. {said}".strip(),
    }
    return Ended(line.job.model_copy(update=changes))
