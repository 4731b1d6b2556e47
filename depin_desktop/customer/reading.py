"""Reading pieces: finding the provider that holds one, and taking its bytes as they arrive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp

from depin_desktop.customer.market import Seller, gone
from depin_desktop.customer.provider_client import ProviderClient
from depin_desktop.customer.tools import OFFERS_TIMEOUT_S, Tools
from depin_desktop.net.http import as_user_error
from depin_desktop.net.offers import StorageOffer

Feed = Callable[[bytes], Awaitable[None]]


async def client_of(tools: Tools, owner: str) -> ProviderClient:
    """The provider's client, with its terms even while it sells nothing new."""
    if owner not in tools.market.offers():
        await tools.market.wait_for([owner], 1, OFFERS_TIMEOUT_S)
    offer = tools.market.offers().get(owner)
    if offer is None:
        raise gone(owner)
    terms = offer.storage
    if terms is None:
        try:
            async with tools.market.session(offer).get("/storage/terms") as response:
                terms = StorageOffer.model_validate_json(await response.read())
        except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError) as error:
            raise as_user_error(ConnectionError(str(error)), offer.node_id) from error
    return tools.client(Seller(offer, terms))


async def read_span(
    client: ProviderClient, root: bytes, span: tuple[int, int], size: int, expect: int, feed: Feed
) -> None:
    """Gives the bytes of a span of a piece to `feed` as they arrive."""
    response, left = await client.get(root, span, size, expect), span[1] - span[0]
    try:
        async with response:
            async for part in response.content.iter_any():
                left -= len(part)
                await feed(part)
    except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
        raise as_user_error(error, client.seller.node.node_id) from error
    if left:
        raise as_user_error(ConnectionError("the body was cut off"), client.seller.node.node_id)
