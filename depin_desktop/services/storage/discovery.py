"""Finds data sets of ours in the chain's log: those that a lost database forgot, and changes by customers' own hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from depin_desktop.chain.calls import LogEvent
from depin_desktop.services.storage.deals import Deals
from depin_desktop.services.storage.link import Link

CHANGES = ("Opened", "Funded", "PiecesAdded", "RemovalsQueued", "PiecesRemoved", "Terminated", "EscrowReturned")


class LogIndex(Protocol):
    """Decoded logs of our contracts (`chain.indexer.Indexer`)."""

    def on(
        self, name: str, callback: Callable[[LogEvent], Awaitable[object]], *, contract: str | None = None
    ) -> Any: ...

    async def events(self, name: str, *, contract: str | None = None, **indexed: Any) -> Sequence[LogEvent]: ...


async def discover(index: LogIndex, deals: Deals, link: Link, changed: Callable[[bytes], None]) -> None:
    """Follows every data set that names this provider, now and whenever one changes; `changed` must be quick."""
    for event in await index.events("Opened", contract="deals", provider=link.provider):
        await deals.follow(link, event.args["set_id"])

    async def notice(event: LogEvent) -> None:
        ours = event.args.get("provider") == link.provider or await deals.is_ours(event.args["set_id"])
        if ours and not event.removed and not deals.is_changing(event.args["set_id"]):
            changed(event.args["set_id"])

    for name in CHANGES:
        index.on(name, notice, contract="deals")
