"""Where earnings go, as the registry has it: followed while the engine runs, so that a change counts at once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from depin_desktop.chain.calls import LogEvent
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.indexer import Indexer
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Cycle

log = logging.getLogger(__name__)

LOOK_EVERY_S = 300.0  # the index tells of changes; this only heals what it may have missed
RETRY_S = 5.0
EVENTS = ("Registered", "PayoutChanged")


class PayoutWatch:
    """Looks at the registry when the index tells of a change, or of one that a reorganisation took back.

    The event is only the sign: the address is always the one that the registry names then.

    Args:
        owner: the provider, by its name in the registry.
        found: is told the address that is paid now, and every one that ever was with the block that named it first.
    """

    def __init__(
        self, chain: Chain, indexer: Indexer, owner: str, found: Callable[[str, Mapping[str, int]], Awaitable[None]]
    ) -> None:
        self.cycle = Cycle("payout", LOOK_EVERY_S, self._look)
        self._chain = chain
        self._indexer = indexer
        self._owner = owner
        self._found = found
        for name in EVENTS:
            indexer.on(name, self._noticed, contract="registry")

    async def _noticed(self, event: LogEvent) -> None:
        if event.args["owner"] == self._owner:
            self.cycle.trigger()

    async def _look(self) -> None:
        self.cycle.interval_s = RETRY_S
        try:
            provider = await self._chain.registry.provider(self._owner)
        except UserFacingError as error:
            log.warning("where earnings go cannot be read now: %s", error)
            return
        seen: dict[str, int] = {}
        for name in EVENTS:
            for event in await self._indexer.events(name, contract="registry", owner=self._owner):
                seen[event.args["payout"]] = min(event.block, seen.get(event.args["payout"], event.block))
        await self._found(provider.payout if provider.registered else self._owner, seen)
        self.cycle.interval_s = LOOK_EVERY_S
