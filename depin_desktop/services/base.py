"""The seam that every service has: the engine knows services only through this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from aiohttp import web

from depin_desktop.api.models import ServiceKind, ServiceStatus
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.indexer import Indexer
from depin_desktop.chain.sender import Sender
from depin_desktop.chain.typed_data import Signer
from depin_desktop.net.offers import ServiceOffer
from depin_desktop.payments.paywall import Paywall


@dataclass(frozen=True)
class Provider:
    """Who provides: `owner` is the address in the registry, the operator's key signs, peers reach us at `node_id`."""

    owner: str
    operator: Signer
    node_id: str


class Earned(NamedTuple):
    """Base units since local midnight, and in total."""

    today: int = 0
    total: int = 0


class Service(Protocol):
    """One thing that this machine sells."""

    kind: ServiceKind

    async def start(self) -> None:
        """Opens what it needs and begins to serve."""

    async def connect(self, chain: Chain, sender: Sender, *, paywall: Paywall, index: Indexer) -> None:
        """Ties it to the chain, whenever that can be reached; raises UserFacingError when it goes away meanwhile."""

    async def drain(self) -> None:
        """Finishes what runs, as far as that takes a few seconds, and accepts nothing new."""

    async def stop(self) -> None:
        """Stops at once and leaves everything in a state from which `start` goes on."""

    def offer(self) -> ServiceOffer | None:
        """What customers may buy now; None while there is nothing to sell."""

    def routes(self) -> Iterable[web.RouteDef]:
        """The HTTP routes that peers may call."""

    def status(self) -> ServiceStatus:
        """An immutable snapshot of the state."""
