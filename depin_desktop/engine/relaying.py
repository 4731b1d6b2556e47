"""The network's relayer as this node's last resort: it sends claims when the operator has no gas."""

from __future__ import annotations

import contextlib
import math

import aiohttp

from depin_desktop.chain.chain import Chain
from depin_desktop.core.database import Database
from depin_desktop.engine.keys import Keys
from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments.payer import Budget, Payer
from depin_desktop.payments.relay import Relay

TIMEOUT_S = 180.0  # a relayed claim is answered when it is mined


async def open_relay(chain: Chain, keys: Keys, database: Database, stack: contextlib.AsyncExitStack) -> Relay | None:
    """The way to the network's relayer, paid from the spending budget; None where the network names none.

    Args:
        stack: closes what is opened here.
    """
    profile = chain.network.relayer
    if profile is None:
        return None
    payer = Payer(chain, keys.budget, database, budget=Budget())
    await payer.start()
    stack.push_async_callback(payer.close)
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
    await stack.enter_async_context(session)
    relayer = NodeOffer(
        owner=profile.operator,
        operator=profile.operator,
        payout=profile.payout,
        node_id="00" * 32,
        addresses=(),
        chain_id=chain.network.chain_id,
        issued_at=0,
        expires_at=math.inf,
    )
    return Relay(chain.network, keys.operator, payer, session, relayer, profile.url)
