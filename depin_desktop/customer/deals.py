"""Data sets from the customer's side: which one a file goes into, what it costs, and the signatures that it takes.

One data set per provider, price and end: its salt follows from them, so every put that ends at about the same time
shares a set, on any machine of the same customer, without keeping anything.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_hash.auto import keccak

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.deals import Piece, Terms
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.reverts import Reverted
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_tokens
from depin_desktop.customer.market import Seller
from depin_desktop.customer.provider_client import ProviderClient, ProviderProblem

AUTHORISATION_S = 3600
ATTEMPTS = 4
MIN_PERIODS = 2
ADD_PER_CALL = 100
FIND_AMONG = 200


@dataclass(frozen=True)
class Schedule:
    """The chain's proving periods; times in Unix seconds of the chain."""

    genesis: int
    period_s: int

    @staticmethod
    async def read(chain: Chain) -> Schedule:
        return Schedule(await chain.deals.genesis(), await chain.deals.period_s())

    def paid_periods(self, now: int, expires: int) -> int:
        """Periods that a piece added now is paid for; at least as many as providers insist on being funded."""
        current = (now - self.genesis) // self.period_s
        return max(MIN_PERIODS, (expires - self.genesis) // self.period_s - current - 1)


def expiry(now: int, term_s: int) -> int:
    """When a set that keeps a file for `term_s` from `now` ends: rounded up to a coarse grid that sets are shared on.

    The grid is at most an eighth of the term, so at most that much longer is kept and paid.
    """
    grid = 1 << max(0, (term_s // 8).bit_length() - 1)
    return -(-(now + term_s) // grid) * grid


def terms_for(customer: str, seller: Seller, expires: int, generation: int) -> Terms:
    """The terms of the customer's data set; another generation where earlier ones were ended."""
    price = seller.terms.price_per_leaf_period
    salt = keccak(b"depin storage" + price.to_bytes(16, "big") + expires.to_bytes(8, "big") + bytes([generation]))
    return Terms(customer, seller.owner, price, expires, salt)


@dataclass(frozen=True)
class Placed:
    """A piece in a data set."""

    set_id: bytes
    piece_id: int
    root: bytes


def cost(price: int, leaves: int, periods: int) -> int:
    """Base units for keeping `leaves` leaves over `periods` periods."""
    return price * leaves * periods


async def check_funds(chain: Chain, account: str, needed: int, what: str) -> None:
    """Raises UserFacingError ("insufficient-funds") unless the account can pay `needed` base units."""
    held = await chain.token.balance_of(account)
    if held < needed:
        symbol = chain.network.symbol
        raise UserFacingError(
            f"{what} costs {format_tokens(needed)} {symbol}, but the spending account {account} holds"
            f" {format_tokens(held)} {symbol}.",
            f"Move at least {format_tokens(needed - held)} {symbol} more to the spending account.",
            code="insufficient-funds",
            status=402,
        )


class DataSets:
    """Puts pieces into the customer's data sets."""

    def __init__(self, chain: Chain, signer: Signer, schedule: Schedule) -> None:
        self._chain = chain
        self._signer = signer
        self._schedule = schedule

    async def add(self, client: ProviderClient, expires: int, pieces: Sequence[Piece], *, again: bool) -> list[Placed]:
        """Opens the set where needed, funds it until its end and adds the pieces; returns once that is mined.

        Args:
            again: an earlier try may have gone through although its answer was lost: what it added is found on the
                chain, and not added or paid a second time.

        Raises:
            UserFacingError: the provider or the chain refuses.
        """
        placed: list[Placed] = []
        for start in range(0, len(pieces), ADD_PER_CALL):
            placed += await self._add(client, expires, pieces[start : start + ADD_PER_CALL], again)
        return placed

    async def _add(self, client: ProviderClient, expires: int, pieces: Sequence[Piece], again: bool) -> list[Placed]:
        terms, set_id, count = await self._open_set(client.seller, expires)
        found = await self._find(set_id, count, pieces) if again else {}
        missing = [piece for piece in pieces if piece.root not in found]
        funding: dict[str, Any] | None = None
        for _ in range(ATTEMPTS):
            if not missing:
                break
            funding = funding or await self._funding(set_id, terms, missing)
            try:
                await client.post_set(set_id, self._body(terms, set_id, missing, count, funding))
            except ProviderProblem as problem:
                if problem.code != "stale-first-piece":
                    raise
                count = (await self._chain.deals.data_set(set_id)).piece_count  # another put was faster
                continue
            found |= {piece.root: Placed(set_id, count + at, piece.root) for at, piece in enumerate(missing)}
            missing = []
        if missing:
            raise UserFacingError(
                f"The data set with {client.seller.owner} keeps changing.", "Try again.", code="set-busy", status=409
            )
        return [found[piece.root] for piece in pieces]

    async def _open_set(self, seller: Seller, expires: int) -> tuple[Terms, bytes, int]:
        """The terms of the first set that has not been ended, its id, and how many pieces were ever added to it."""
        for generation in range(256):
            terms = terms_for(self._signer.address, seller, expires, generation)
            set_id = typed_data.data_set_id(terms.customer, terms.provider, terms.salt)
            try:
                state = await self._chain.deals.data_set(set_id)
            except Reverted as error:
                if error.name == "UnknownSet":
                    return terms, set_id, 0
                raise
            if not state.terminated:
                return terms, set_id, state.piece_count
        raise UserFacingError("Too many data sets were ended.", "Choose another term.", code="too-many-sets")

    async def _find(self, set_id: bytes, count: int, pieces: Sequence[Piece]) -> dict[bytes, Placed]:
        """Those of `pieces` among the newest of the set: an earlier try whose answer was lost."""
        wanted, found = {piece.root for piece in pieces}, dict[bytes, Placed]()
        for piece_id in range(max(0, count - FIND_AMONG - len(pieces)), count):
            piece = await self._chain.deals.piece(set_id, piece_id)
            if piece.live and piece.root in wanted:
                found[piece.root] = Placed(set_id, piece_id, piece.root)
        return found

    async def _funding(self, set_id: bytes, terms: Terms, pieces: Sequence[Piece]) -> dict[str, Any]:
        now = await self._chain.now()
        leaves = sum(piece.leaf_count for piece in pieces)
        amount = cost(terms.price, leaves, self._schedule.paid_periods(now, terms.expires))
        salt, until = secrets.token_bytes(32), now + AUTHORISATION_S
        signature = typed_data.sign_funding(self._signer, self._chain.network, set_id, amount, 0, until, salt)
        return {
            "amount": str(amount),
            "valid_after": 0,
            "valid_before": until,
            "salt": "0x" + salt.hex(),
            "signature": "0x" + signature.hex(),
        }

    def _body(
        self, terms: Terms, set_id: bytes, pieces: Sequence[Piece], first: int, funding: dict[str, Any]
    ) -> dict[str, Any]:
        network = self._chain.network
        agreed = typed_data.sign_add_pieces(self._signer, network, set_id, first, pieces)
        return {
            "terms": {
                "customer": terms.customer,
                "provider": terms.provider,
                "price": str(terms.price),
                "expires": terms.expires,
                "salt": "0x" + terms.salt.hex(),
            },
            "terms_signature": "0x" + typed_data.sign_terms(self._signer, network, terms).hex(),
            "funding": funding,
            "pieces": [{"root": piece.root.hex(), "leaf_count": piece.leaf_count} for piece in pieces],
            "first_piece_id": first,
            "add_signature": "0x" + agreed.hex(),
        }
