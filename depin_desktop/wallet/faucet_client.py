"""Asks a private network's faucet for tokens and gas."""

from __future__ import annotations

import aiohttp

from depin_desktop.chain.network import Network
from depin_desktop.core.errors import UserFacingError

_TIMEOUT = aiohttp.ClientTimeout(total=30)


async def ask_faucet(network: Network, address: str, *, tokens: int = 0, gas: int = 0) -> list[str]:
    """Has `tokens` (base units) and `gas` (wei) sent to `address`; returns the mined transactions' hashes.

    Raises:
        UserFacingError: the network has no faucet, it does not answer, or it refuses.
    """
    if network.faucet_url is None:
        raise UserFacingError(f"{network.name} has no faucet.", code="no-faucet", status=404)
    request = {"address": address, "tokens": str(tokens), "gas": str(gas)}
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.post(network.faucet_url, json=request) as response,
        ):
            status, answer = response.status, await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise UserFacingError(
            "The network's faucet does not answer.",
            "Check that the local network runs: depin localnet status",
            code="faucet-unreachable",
            status=502,
        ) from error
    if status != 200:
        raise UserFacingError(
            str(answer.get("message", "The faucet refused.")), str(answer.get("remedy", "")), code="faucet-refused"
        )
    transactions: list[str] = answer["transactions"]
    return transactions
