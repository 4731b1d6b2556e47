"""What puts, gets and removals share: the chain, the money, the market, and this customer's rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.typed_data import Signer
from depin_desktop.customer.catalogue import Catalogue
from depin_desktop.customer.deals import Schedule
from depin_desktop.customer.market import Market, Seller
from depin_desktop.customer.provider_client import ProviderClient
from depin_desktop.payments.payer import Payer

OFFERS_TIMEOUT_S = 5.0

Progress = Callable[[int, int], None]
"""progress(bytes done, bytes in all) of the file; called often, from the event loop."""


@dataclass(frozen=True)
class Tools:
    """One customer's session."""

    chain: Chain
    signer: Signer
    market: Market
    payer: Payer
    catalogue: Catalogue
    schedule: Schedule

    def client(self, seller: Seller) -> ProviderClient:
        return ProviderClient(seller, self.market.session(seller.node, bulk=True), self.signer, self.payer)
