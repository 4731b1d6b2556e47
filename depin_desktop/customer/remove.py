"""Removing a file: its pieces are queued for removal from their data sets, and with them their pay."""

from __future__ import annotations

from collections.abc import Iterator

from depin_desktop.chain import typed_data
from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.catalogue import StoredFile
from depin_desktop.customer.market import Seller, gone
from depin_desktop.customer.tools import OFFERS_TIMEOUT_S, Tools
from depin_desktop.net.offers import StorageOffer

REMOVALS_PER_CALL = 64  # what the contract queues for one set
_OVER = frozenset({"reverted-set-ended", "reverted-piece-gone", "reverted-unknown-set", "no-such-set", "set-ended"})
"""Refusals after which there is nothing left to remove."""
_TERMS = StorageOffer(free_bytes=0, max_piece_bytes=0, price_per_leaf_period=0, price_per_gib_read=0)


async def remove(tools: Tools, file: StoredFile) -> None:
    """Takes a file off the list and ends the pay for its pieces with the current period.

    Raises:
        UserFacingError: some providers cannot be reached; running it again goes on with those.
    """
    pieces: dict[tuple[str, bytes], list[int]] = {}
    for owner, set_id, piece_id in await tools.catalogue.pieces_of(file.locator):
        pieces.setdefault((owner, set_id), []).append(piece_id)
    if file.expires_at > await tools.chain.now():
        owners = {owner for owner, _ in pieces}
        await tools.market.wait_for(owners, len(owners), OFFERS_TIMEOUT_S)
        problems = [
            problem
            for (owner, set_id), ids in pieces.items()
            if (problem := await _remove_from(tools, owner, set_id, ids)) is not None
        ]
        if problems:
            raise UserFacingError(
                f"Not every provider could be told: {problems[0].message}",
                "Run the same command again later: the others are done.",
                code="partly-removed",
                status=502,
            )
    await tools.catalogue.removed(file.locator)


async def _remove_from(tools: Tools, owner: str, set_id: bytes, ids: list[int]) -> UserFacingError | None:
    """Queues one data set's removals; the reason where that fails."""
    offer = tools.market.offers().get(owner)
    if offer is None:
        return gone(owner)
    client = tools.client(Seller(offer, offer.storage or _TERMS))
    for batch in _batches(ids):
        signature = typed_data.sign_schedule_removals(tools.signer, tools.chain.network, set_id, batch)
        try:
            await client.remove(set_id, batch, signature)
        except UserFacingError as error:
            if error.code not in _OVER:
                return error
        await tools.catalogue.pieces_removed(set_id, batch)
    return None


def _batches(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), REMOVALS_PER_CALL):
        yield ids[start : start + REMOVALS_PER_CALL]
