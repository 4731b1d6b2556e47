"""Who sells, and how to reach them: what customers need of the network, declared by its consumer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_size
from depin_desktop.net.offers import NodeOffer, StorageOffer


class Market(Protocol):
    """Verified offers, and sessions to those who made them."""

    def offers(self) -> Mapping[str, NodeOffer]:
        """Verified and unexpired offers by owner."""

    async def wait_for(self, owners: Collection[str], count: int, timeout_s: float) -> None:
        """Returns when at least `count` of `owners` (of anybody, where none are named) offer, or the time is over."""

    async def wait_until(self, enough: Callable[[Mapping[str, NodeOffer]], bool], timeout_s: float) -> None:
        """Returns when `enough` says so of the offers, or the time is over."""

    def session(self, offer: NodeOffer, *, bulk: bool = False) -> aiohttp.ClientSession:
        """A session whose requests go to that provider, large transfers with `bulk`; not to be closed by its user."""


@dataclass(frozen=True)
class Seller:
    """A provider together with its terms of storage."""

    node: NodeOffer
    terms: StorageOffer

    @property
    def owner(self) -> str:
        return self.node.owner


def sellers(
    offers: Iterable[NodeOffer],
    chain_id: int,
    term_s: int,
    piece_bytes: int,
    total_bytes: int,
    held: Mapping[str, int] | None = None,
) -> list[Seller]:
    """Providers that can take pieces of `piece_bytes`, `total_bytes` in all, for `term_s`; the best first.

    The cheapest come first; among equals the emptier, so that the load spreads.

    Args:
        held: how many of these bytes some owners have already; they need room for the rest only.
    """
    had = held or {}
    fit = [
        Seller(offer, offer.storage)
        for offer in offers
        if offer.chain_id == chain_id
        and offer.storage is not None
        and offer.storage.max_piece_bytes >= piece_bytes
        and offer.storage.free_bytes >= total_bytes - had.get(offer.owner, 0)
        and offer.storage.min_term_s <= term_s
    ]
    return sorted(fit, key=lambda seller: (seller.terms.price_per_leaf_period, -seller.terms.free_bytes, seller.owner))


def too_few(found: int, wanted: int, offering: int, total_bytes: int) -> UserFacingError:
    """Fewer providers than pieces: what is missing, before anything is sent."""
    if offering == 0:
        return UserFacingError(
            "No provider offers storage just now.",
            "Check that the hub can be reached, or try again later.",
            code="no-providers",
            status=503,
        )
    what = f"take {format_size(total_bytes)} for so long"
    if wanted > 1:
        whom = f"{wanted} different providers are needed; only {found} of the {offering} that offer storage can {what}."
    elif offering > 1:
        whom = f"None of the {offering} providers that offer storage can {what}."
    else:
        whom = f"The only provider that offers storage cannot {what}."
    return UserFacingError(
        whom,
        "Use a code with fewer pieces, store less, or try again later." if wanted > 1 else "Store less, or try later.",
        code="too-few-providers",
        status=503,
    )


def gone(owner: str) -> UserFacingError:
    """A provider whose offer is not, or no longer, there."""
    return UserFacingError(
        f"The provider {owner} cannot be found just now.", "Try again later.", code="provider-gone", status=503
    )
