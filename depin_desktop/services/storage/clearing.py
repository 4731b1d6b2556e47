"""Clears up after data sets that serve nobody any more.

Ended are those that have been empty for long, and those of which nothing could be shown for as long: their faults would
cost stake until they expire, and their whole pieces hold space. What is left in the escrow of a data set that is over
goes back to its customer, who needs no gas for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from depin_desktop.api.models import Activity
from depin_desktop.chain.calls import Call
from depin_desktop.chain.reverts import Reverted
from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.storage import policy
from depin_desktop.services.storage.deal_store import DataSet, DealStore, SetState
from depin_desktop.services.storage.deals import Deals
from depin_desktop.services.storage.link import Link
from depin_desktop.services.storage.prover import Round

log = logging.getLogger(__name__)

RETRY_S = 600.0


class Clearing:
    """One provider's.

    Args:
        publish: hands an activity to the owner.
        clock: the wall clock, for records and between tries.
    """

    def __init__(
        self,
        store: DealStore,
        deals: Deals,
        *,
        publish: Callable[[Activity], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._deals = deals
        self._publish = publish
        self._clock = clock
        self._not_before = 0.0
        self._unprovable_since: dict[str, int] = {}

    async def round(self, link: Link, found: Round) -> None:
        """Clears up what `found` and our rows name. What fails is tried again ten minutes later."""
        if self._clock() < self._not_before:
            return
        try:
            for set_id in found.unused:
                await self._end_unused(link, set_id)
            for set_id in await self._lost(found):
                await self._end_lost(link, set_id)
            for one in await self._store.left_over():
                await self._give_back(link, one)
        except UserFacingError as error:
            self._not_before = self._clock() + RETRY_S
            log.warning("data sets cannot be cleared up: %s", error)

    async def _end_unused(self, link: Link, set_id: str) -> None:
        row, name = await self._store.get(set_id), bytes.fromhex(set_id)
        if row is not None and not self._deals.is_changing(name):
            call = link.chain.deals.end_inactive(name)
            await self._send(
                link, set_id, call, f"end the unused set {set_id[:8]}", partial(policy.worth_tidying, row.paid)
            )

    async def _lost(self, found: Round) -> list[str]:
        """Data sets that this run has failed to show since so long ago that they are inactive.

        A restart counts anew: a disk that is away gets its time to come back.
        """
        for set_id in found.unprovable:
            self._unprovable_since.setdefault(set_id, found.period)
        lost = []
        for set_id, since in list(self._unprovable_since.items()):
            row = await self._store.get(set_id)
            if row is None or row.state is SetState.ENDED or (row.proven_period or 0) >= since:
                del self._unprovable_since[set_id]
            elif set_id in found.unprovable and found.period - since >= policy.INACTIVE_PERIODS:
                lost.append(set_id)
        return lost

    async def _end_lost(self, link: Link, set_id: str) -> None:
        call = link.chain.deals.end_inactive(bytes.fromhex(set_id))
        if await self._send(link, set_id, call, f"end the lost set {set_id[:8]}", lambda _: True):
            detail = f"Set {set_id[:8]} could not be shown for {policy.INACTIVE_PERIODS} periods."
            self._publish(Activity(at=self._clock(), kind="fault", title="A lost data set was ended", detail=detail))

    async def _give_back(self, link: Link, one: DataSet) -> None:
        call = link.chain.deals.return_escrow(bytes.fromhex(one.id))
        worth = partial(policy.worth_giving_back, one.escrow, one.paid)
        await self._send(link, one.id, call, f"give the rest of set {one.id[:8]} back", worth)

    async def _send(
        self, link: Link, set_id: str, call: Call, purpose: str, worth: Callable[[int | None], bool]
    ) -> bool:
        """Does what anyone may do to a data set, if its fee is worth it; false when it was not done.

        A refusal means that somebody else was faster, and the chain tells what there is now.
        """
        if any(pending.purpose == purpose for pending in link.sender.pending):
            return False
        done = False
        try:
            if not worth(await link.fee(call)):
                return False
            await link.sender.send(call, purpose=purpose)
            done = True
        except Reverted as error:
            log.info("%s: %s", purpose, error)
        await self._deals.follow(link, bytes.fromhex(set_id))
        return done
