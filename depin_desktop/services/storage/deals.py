"""Data sets: what the customer signed is checked here, then opened, funded and added to in one transaction.

Everything is refused here that the contract would refuse, and what it would not know: bytes that are not on our disks,
a price below ours, an escrow that does not cover the shortest term.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from hashlib import sha256

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.deals import NOT_TERMINATED, DataSetState
from depin_desktop.chain.calls import Call, Receipt
from depin_desktop.chain.reverts import Reverted
from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.storage import policy
from depin_desktop.services.storage.deal_store import DataSet, DealStore, SetPiece, SetState
from depin_desktop.services.storage.link import Link
from depin_desktop.services.storage.requests import ChangeSet, FundingBody, RemovePieces, TerminateSet
from depin_desktop.services.storage.store import PieceState, PieceStore

log = logging.getLogger(__name__)

AT_ONCE = 32
SENDING_S = 3600
"""How long pieces are kept, without a valid receipt, for a transaction that is on its way."""
FUNDING_MARGIN_S = 30
"""How long an authorisation must still be valid: the transaction needs time to be mined."""


class Stale(UserFacingError):
    """The request was signed for another state of the data set; `state` is the present one."""

    def __init__(self, state: DataSetState | None) -> None:
        super().__init__(
            "The data set has changed since this was signed.",
            "Sign again for the state in this answer.",
            code="stale-first-piece",
            status=409,
        )
        self.state = state


class Deals:
    """The data sets of one provider.

    Args:
        price: ours, in base units per leaf and period, read at every request.
        accepting: whether anything new may be taken now.
        changed: called after a data set changed on chain.
    """

    def __init__(
        self,
        store: DealStore,
        pieces: PieceStore,
        *,
        price: Callable[[Link], int],
        accepting: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._pieces = pieces
        self._price = price
        self._accepting = accepting
        self._changed = changed
        self._locks: dict[bytes, asyncio.Lock] = {}

    # --- requests of customers

    async def change(self, link: Link, set_id: bytes, body: ChangeSet) -> Receipt | None:
        """Opens, funds and adds as far as that is not done yet; None when all of it was done before.

        Raises:
            UserFacingError: a refusal; `Stale` when the first piece id does not fit the chain's state.
            Reverted: the contract refused.
        """
        _check_signatures(link, set_id, body)
        async with self._alone(set_id):
            state = await self.state(link, set_id)
            missing = await self._missing(link, set_id, state, body)
            if not missing:
                await self._follow(link, set_id)
                return None
            if not self._accepting():
                raise UserFacingError(
                    "This provider takes nothing new just now.", "Choose another.", code="not-accepting", status=503
                )
            await self._check(link, state, body, missing)
            return await self._send(link, set_id, state, body, missing)

    async def remove(self, link: Link, set_id: bytes, body: RemovePieces) -> Receipt | None:
        """Queues removals that take effect with the next period; None when they are all queued or gone already."""
        network = link.network
        async with self._alone(set_id):
            state = await self._known(link, set_id)
            signer = _signer(
                lambda: typed_data.recover_schedule_removals(network, set_id, body.piece_ids, body.signature)
            )
            _expect(signer, state.customer)
            call = link.chain.deals.schedule_removals(set_id, body.piece_ids, body.signature)
            try:
                receipt = await link.sender.send(call, purpose=f"remove from set {set_id.hex()[:8]}")
            except Reverted as error:
                if error.name == "PieceGone" and error.values.get("piece_id") in body.piece_ids:
                    return None  # an earlier try of the same request went through
                raise
            self._changed()
            return receipt

    async def terminate(self, link: Link, set_id: bytes, body: TerminateSet) -> Receipt | None:
        """Ends a data set with the current period; None when it was ended before."""
        async with self._alone(set_id):
            state = await self._known(link, set_id)
            if state.terminated:
                return None
            _expect(_signer(lambda: typed_data.recover_terminate(link.network, set_id, body.signature)), state.customer)
            call = link.chain.deals.terminate(set_id, body.signature)
            receipt = await link.sender.send(call, purpose=f"end set {set_id.hex()[:8]}")
            await self._follow(link, set_id)
            return receipt

    async def give_up(self, link: Link, set_id: bytes) -> bool:
        """Ends a data set that cannot pay, in the provider's own name; False when it can, or has ended."""
        async with self._alone(set_id):
            state = await self._known(link, set_id)
            unfunded = link.schedule.life(state, link.schedule.period_at(await link.chain.now())) is SetState.UNFUNDED
            if unfunded:
                await link.sender.send(link.chain.deals.terminate(set_id, b""), purpose="end an unpaid data set")
            await self._follow(link, set_id)
            return unfunded

    async def state(self, link: Link, set_id: bytes) -> DataSetState | None:
        """The chain's state of a data set, None when it does not exist."""
        try:
            return await link.chain.deals.data_set(set_id)
        except Reverted as error:
            if error.name == "UnknownSet":
                return None
            raise

    async def _known(self, link: Link, set_id: bytes) -> DataSetState:
        state = await self.state(link, set_id)
        if state is None or state.provider != link.provider:
            raise unknown_set()
        return state

    # --- following the chain

    def is_changing(self, set_id: bytes) -> bool:
        """Whether a request about this data set is being carried out."""
        return set_id in self._locks and self._locks[set_id].locked()

    async def is_ours(self, set_id: bytes) -> bool:
        """Whether a data set is among our rows."""
        return await self._store.get(set_id.hex()) is not None

    async def follow(self, link: Link, set_id: bytes) -> DataSet | None:
        """Brings our rows of a data set into line with the chain; None when the chain does not know it."""
        async with self._alone(set_id):
            return await self._follow(link, set_id)

    async def _follow(self, link: Link, set_id: bytes) -> DataSet | None:
        state, name = await self.state(link, set_id), set_id.hex()
        if state is None or state.provider != link.provider:
            return None
        period = link.schedule.period_at(await link.chain.now())
        before = await self._store.get(name)
        first_due = None if before is None else before.first_due
        if first_due is None and state.piece_count:
            first_due = period + 1  # what is added in one period is challenged from the next one on
        row = DataSet(
            id=name,
            customer=state.customer,
            price=state.price,
            expires=min(state.expires, 2**62),
            state=link.schedule.life(state, period),
            escrow=state.escrow,
            paid=state.paid,
            ends_after=None if state.ends_after == NOT_TERMINATED else state.ends_after,
            first_due=first_due,
            proven_period=state.last_proven - 1 if state.last_proven else None,
            proven_at=None if before is None else before.proven_at,
        )
        if row.state is not SetState.ENDED:
            await self._follow_pieces(link, set_id, state, row)
        await self._store.save(row)
        self._changed()
        return row

    async def _follow_pieces(self, link: Link, set_id: bytes, state: DataSetState, row: DataSet) -> None:
        """Asks the chain for pieces that we do not know yet, and for removed ones when the leaves do not add up."""
        if await self._store.get(row.id) is None:
            await self._store.save(row)
        known = await self._store.pieces(row.id)
        live = {at: piece for at, piece in known.items() if piece.live}
        unknown = [at for at in range(state.piece_count) if at not in known]
        new = await self._ask(link, set_id, unknown)
        leaves = sum(piece.leaf_count for piece in (*live.values(), *new) if piece.live)
        gone = [] if leaves == state.leaf_count else [p for p in await self._ask(link, set_id, live) if not p.live]
        if new or gone:
            await self._store.place(row.id, state.customer, [*new, *gone])

    @staticmethod
    async def _ask(link: Link, set_id: bytes, piece_ids: Iterable[int]) -> list[SetPiece]:
        found: list[SetPiece] = []
        ids = list(piece_ids)
        for at in range(0, len(ids), AT_ONCE):
            part = ids[at : at + AT_ONCE]
            states = await asyncio.gather(*(link.chain.deals.piece(set_id, piece_id) for piece_id in part))
            found += [
                SetPiece(piece_id, piece.root.hex(), piece.leaf_count, piece.live)
                for piece_id, piece in zip(part, states, strict=True)
            ]
        return found

    @asynccontextmanager
    async def _alone(self, set_id: bytes) -> AsyncIterator[None]:
        """One change of a data set at a time."""
        async with self._locks.setdefault(set_id, asyncio.Lock()):
            yield

    # --- one change

    async def _missing(self, link: Link, set_id: bytes, state: DataSetState | None, body: ChangeSet) -> set[str]:
        """Which of open, fund and add are still to be done."""
        missing = set() if state is not None else {"open"}
        if body.funding is not None:
            nonce = typed_data.authorization_nonce(set_id, body.funding.salt)
            if not await link.chain.token.authorization_state(body.terms.customer, nonce):
                missing.add("fund")
        if body.pieces:
            count = 0 if state is None else state.piece_count
            if body.first_piece_id == count:
                missing.add("add")
            elif not await self._are_there(link, set_id, count, body):
                raise Stale(state)
        return missing

    async def _are_there(self, link: Link, set_id: bytes, count: int, body: ChangeSet) -> bool:
        """Whether exactly these pieces were added under these ids by an earlier try of the same request."""
        last = body.first_piece_id + len(body.pieces)
        if last > count:
            return False
        placed = await self._ask(link, set_id, range(body.first_piece_id, last))
        return [piece.root for piece in placed] == [piece.root.hex() for piece in body.pieces]

    async def _check(self, link: Link, state: DataSetState | None, body: ChangeSet, missing: set[str]) -> None:
        now = await link.chain.now()
        # An id does not fix price and expiry: once the set is open, the chain's count, whatever the body says.
        price, expires = (body.terms.price, body.terms.expires) if state is None else (state.price, state.expires)
        escrow, leaves = (0, 0) if state is None else (state.escrow, state.leaf_count)
        if state is not None and link.schedule.life(state, link.schedule.period_at(now)) is SetState.ENDED:
            raise _refused("This data set has ended.", "Open a new one.", "set-ended", 409)
        if "fund" in missing and body.funding is not None:
            _check_funding(body.funding, now)
            escrow += body.funding.amount
        if missing & {"open", "add"}:
            if expires < now + link.schedule.period_s * policy.MIN_TERM_PERIODS:
                raise _refused("The term is too short.", "See min_term_s in the offer.", "term-too-short")
            if price < (ours := self._price(link)):
                remedy = f"Offer at least {ours} base units per leaf and period."
                raise _refused("The price is below this provider's.", remedy, "price-too-low")
        if "add" in missing:
            await self._check_held(body)
            needed = policy.funding_needed(price, leaves + sum(piece.leaf_count for piece in body.pieces))
            if escrow < needed:
                raise _refused(
                    "The escrow does not cover the shortest term.",
                    f"Fund at least {needed - escrow} more.",
                    "underfunded",
                )

    async def _check_held(self, body: ChangeSet) -> None:
        held = await self._pieces.pieces(piece.root.hex() for piece in body.pieces)
        for wanted in body.pieces:
            piece = held.get(wanted.root.hex())
            if piece is None or piece.state is not PieceState.HELD:
                raise _refused(
                    f"Piece {wanted.root.hex()} is not stored here.", "Upload it first.", "piece-missing", 409
                )
            if piece.leaf_count != wanted.leaf_count:
                remedy = f"It has {piece.leaf_count}."
                raise _refused(f"Piece {wanted.root.hex()} has another number of leaves.", remedy, "wrong-leaf-count")

    async def _send(
        self, link: Link, set_id: bytes, state: DataSetState | None, body: ChangeSet, missing: set[str]
    ) -> Receipt:
        call = link.together(_calls(link, set_id, body, missing))
        # Known before it is sent: after a crash the chain is asked about it, so no proof of it is forgotten.
        if await self._store.get(set_id.hex()) is None:
            terms = body.terms
            await self._store.save(
                DataSet(set_id.hex(), terms.customer, terms.price, min(terms.expires, 2**62), SetState.OPENING)
            )
        await self._pieces.hold([piece.root.hex() for piece in body.pieces], SENDING_S)
        key = f"storage/{set_id.hex()}/{sha256(call.data).hexdigest()}"
        purpose = f"{call.name} for set {set_id.hex()[:8]}"
        try:
            receipt = await link.sender.send(call, purpose=purpose, key=key)
            if await self._is_missing(link, set_id, body):
                receipt = await self._send_again(link, set_id, body, call, receipt)
        except Reverted as error:
            if error.name == "WrongFirstPiece":
                raise Stale(await self.state(link, set_id)) from error
            raise
        await self._follow(link, set_id)
        return receipt

    async def _is_missing(self, link: Link, set_id: bytes, body: ChangeSet) -> bool:
        return bool(await self._missing(link, set_id, await self.state(link, set_id), body))

    async def _send_again(self, link: Link, set_id: bytes, body: ChangeSet, call: Call, receipt: Receipt) -> Receipt:
        """For a chain that was set back and has lost what it had confirmed."""
        try:
            return await link.sender.send(call, purpose=f"{call.name} for set {set_id.hex()[:8]}, again")
        except Reverted:
            if await self._is_missing(link, set_id, body):
                raise
            return receipt  # the sender noticed too, and told the chain the first one again


def _calls(link: Link, set_id: bytes, body: ChangeSet, missing: set[str]) -> list[Call]:
    deals, calls = link.chain.deals, []
    if "open" in missing:
        calls.append(deals.open(body.terms.terms(), body.terms_signature))
    if "fund" in missing and (f := body.funding) is not None:
        calls.append(deals.fund(set_id, f.amount, f.valid_after, f.valid_before, f.salt, f.signature))
    if "add" in missing:
        calls.append(deals.add(set_id, body.chain_pieces(), body.first_piece_id, body.add_signature))
    return calls


def _check_signatures(link: Link, set_id: bytes, body: ChangeSet) -> None:
    """All signatures are the customer's, over exactly this: before anything is asked of the chain."""
    terms, network, customer = body.terms.terms(), link.network, body.terms.customer
    if terms.provider != link.provider:
        raise _refused("These terms are for another provider.", "Sign terms for this one.", "wrong-provider")
    if typed_data.data_set_id(terms.customer, terms.provider, terms.salt) != set_id:
        raise _refused("The set's id does not follow from its terms.", "", "wrong-set-id")
    _expect(_signer(lambda: typed_data.recover_terms(network, terms, body.terms_signature)), customer)
    if body.pieces:
        pieces, first = body.chain_pieces(), body.first_piece_id
        _expect(
            _signer(lambda: typed_data.recover_add_pieces(network, set_id, first, pieces, body.add_signature)), customer
        )
    if (f := body.funding) is not None:
        nonce, to = typed_data.authorization_nonce(set_id, f.salt), network.addresses.deals
        _expect(
            _signer(
                lambda: typed_data.recover_receive(
                    network, customer, to, f.amount, f.valid_after, f.valid_before, nonce, f.signature
                )
            ),
            customer,
        )


def _check_funding(funding: FundingBody, now: int) -> None:
    if funding.amount == 0:
        raise _refused("The funding is zero.", "Leave it out, or fund something.", "bad-funding")
    if not funding.valid_after < now < funding.valid_before - FUNDING_MARGIN_S:
        raise _refused("The funding's authorisation is not valid now.", "Sign a new one.", "bad-funding")


def _signer(recover: Callable[[], str]) -> str:
    try:
        return recover()
    except typed_data.BadSignature as error:
        raise _bad_signature() from error


def _expect(signer: str, customer: str) -> None:
    if signer != customer:
        raise _bad_signature()


def _bad_signature() -> UserFacingError:
    return _refused("A signature is not the customer's.", "Sign with the customer's key.", "bad-signature", 401)


def _refused(message: str, remedy: str, code: str, status: int = 400) -> UserFacingError:
    return UserFacingError(message, remedy, code=code, status=status)


def unknown_set() -> UserFacingError:
    """The answer about a data set that is not this provider's."""
    return _refused("This provider has no such data set.", "", "no-such-set", 404)
