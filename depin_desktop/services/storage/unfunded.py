"""Ends data sets that nobody pays for any more, so that their space is sold again instead of held until they expire."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from depin_desktop.api.models import Activity
from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.storage import policy
from depin_desktop.services.storage.deal_store import DealStore, SetState
from depin_desktop.services.storage.deals import Deals
from depin_desktop.services.storage.link import Link

log = logging.getLogger(__name__)


class Unfunded:
    """Counts for how long each data set has not been paid in full; a restart counts anew, to the customer's good.

    Args:
        publish: hands an activity to the owner.
        clock: the wall clock, for records.
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
        self._since: dict[str, int] = {}

    async def round(self, link: Link) -> None:
        """Ends what has gone unpaid for `policy.UNFUNDED_PERIODS`. What fails is tried again in the next round."""
        unfunded = [one for one in await self._store.sets() if one.state is SetState.UNFUNDED]
        if not unfunded:
            self._since.clear()
            return
        try:
            period = link.schedule.period_at(await link.chain.now())
            self._since = {one.id: self._since.get(one.id, period) for one in unfunded}
            for one in unfunded:
                if period - self._since[one.id] >= policy.UNFUNDED_PERIODS:
                    await self._end(link, one.id)
        except UserFacingError as error:
            log.warning("an unpaid data set cannot be ended: %s", error)

    async def _end(self, link: Link, set_id: str) -> None:
        if not await self._deals.give_up(link, bytes.fromhex(set_id)):
            return
        detail = f"Set {set_id[:8]} could not pay for {policy.UNFUNDED_PERIODS} periods; its space is free again soon."
        self._publish(Activity(at=self._clock(), kind="piece-removed", title="An unpaid data set ends", detail=detail))
