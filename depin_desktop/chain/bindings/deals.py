"""StorageDeals: data sets of sealed pieces, possession challenges, pay per proven period.

Prices in base units per 256-byte leaf and period, times in Unix seconds, set ids and roots 32 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, cast

from depin_desktop.chain.bindings.contract import Contract
from depin_desktop.chain.calls import Call

NOT_TERMINATED = 2**64 - 1


@dataclass(frozen=True)
class Terms:
    """What a customer signs to open a data set. `provider` is the owner's address; `expires` ends the pay."""

    customer: str
    provider: str
    price: int
    expires: int
    salt: bytes

    def abi(self) -> tuple[Any, ...]:
        """The tuple that the contract takes."""
        return (self.customer, self.provider, self.price, self.expires, self.salt)


@dataclass(frozen=True)
class Piece:
    """A sealed piece: its Merkle root and its number of 256-byte leaves."""

    root: bytes
    leaf_count: int

    def abi(self) -> tuple[Any, ...]:
        """The tuple that the contract takes."""
        return (self.root, self.leaf_count)


@dataclass(frozen=True)
class Proof:
    """One data set's proof: for its challenges in order the leaf, then the siblings that do not follow from others."""

    set_id: bytes
    data: bytes


@dataclass(frozen=True)
class DataSetState:
    """One data set.

    Attributes:
        escrow: what is left to pay from.
        challenge_range: leaves that this period's challenges are drawn from, and that it pays for.
        piece_count: pieces ever added; ids run below it.
        last_proven: the last proven period plus one; 0 if never.
        ends_after: the last period that is challenged and paid; `NOT_TERMINATED` while it goes on.
    """

    customer: str
    provider: str
    price: int
    escrow: int
    paid: int
    expires: int
    leaf_count: int
    challenge_range: int
    piece_count: int
    last_proven: int
    ends_after: int

    @property
    def terminated(self) -> bool:
        return self.ends_after != NOT_TERMINATED


@dataclass(frozen=True)
class PieceState:
    """A piece of a data set; `live` is false once its removal took effect."""

    root: bytes
    leaf_count: int
    live: bool


@dataclass(frozen=True)
class Challenge:
    """One leaf to be shown: of which piece, and which leaf of it."""

    piece_id: int
    leaf_index: int


class Step(IntEnum):
    """What a data set waits for."""

    NOTHING = 0
    POKE = 1
    PROVE = 2
    END = 3  # it is empty and has been so for long: anyone may end it
    RETURN = 4  # it is over, and escrow is left that can go back to its customer


class PeriodState(IntEnum):
    """What became of a period of a data set; a faulted one is never paid."""

    NOT_DUE = 0
    OPEN = 1
    PROVEN = 2
    FAULTED = 3


@dataclass(frozen=True)
class NextAction:
    """The one next step of a data set; not before `not_before`, useless after `deadline`."""

    step: Step
    period: int
    not_before: int
    deadline: int


class StorageDeals(Contract):
    """The storage contract. Views that depend on the time see the present, not the last block's time."""

    async def data_set(self, set_id: bytes) -> DataSetState:
        return DataSetState(*await self._value("dataSet", set_id, now=True))

    async def data_set_id(self, terms: Terms) -> bytes:
        """As the contract computes it; `typed_data.data_set_id` needs no round trip."""
        return cast(bytes, await self._value("dataSetId", terms.abi()))

    async def piece(self, set_id: bytes, piece_id: int) -> PieceState:
        (root, leaf_count), live = await self._view("piece", set_id, piece_id, now=True)
        return PieceState(root, leaf_count, live)

    async def challenges(self, set_id: bytes) -> tuple[Challenge, ...]:
        """This period's challenges, ascending and each once; empty until the seed is fixed."""
        pieces, leaves = await self._view("challenges", set_id, now=True)
        return tuple(Challenge(piece, leaf) for piece, leaf in zip(pieces, leaves, strict=True))

    async def next_action(self, set_id: bytes) -> NextAction:
        step, *rest = await self._view("nextAction", set_id, now=True)
        return NextAction(Step(step), *rest)

    async def current_period(self) -> int:
        return cast(int, await self._value("currentPeriod", now=True))

    async def seed_of(self, period: int) -> bytes | None:
        """The period's seed, or None until it is fixed."""
        seed = cast(bytes, await self._value("seedOf", period))
        return seed if any(seed) else None

    async def is_proven(self, set_id: bytes, period: int) -> bool:
        return cast(bool, await self._value("isProven", set_id, period))

    async def state_of(self, set_id: bytes, period: int) -> PeriodState:
        return PeriodState(await self._value("stateOf", set_id, period, now=True))

    async def owed(self, provider: str) -> int:
        """Accrued and not yet settled."""
        return cast(int, await self._value("owed", provider))

    async def period_s(self) -> int:
        return cast(int, await self._value("PERIOD"))

    async def window_s(self) -> int:
        return cast(int, await self._value("WINDOW"))

    async def genesis(self) -> int:
        return cast(int, await self._value("GENESIS"))

    async def max_pieces(self) -> int:
        """How many pieces one `add` takes."""
        return cast(int, await self._value("MAX_PIECES"))

    async def max_proofs(self) -> int:
        """How many data sets one `prove` takes."""
        return cast(int, await self._value("MAX_PROOFS"))

    async def max_queued_removals(self) -> int:
        """How many removals of one data set may wait for the period's end."""
        return cast(int, await self._value("MAX_QUEUED_REMOVALS"))

    def open(self, terms: Terms, customer_signature: bytes) -> Call:
        return self._call("open", terms.abi(), customer_signature)

    def fund(
        self, set_id: bytes, amount: int, valid_after: int, valid_before: int, salt: bytes, authorization: bytes
    ) -> Call:
        """Moves tokens from the customer into the set's escrow by ERC-3009 (`typed_data.sign_funding`)."""
        return self._call("fund", set_id, amount, valid_after, valid_before, salt, authorization)

    def add(self, set_id: bytes, pieces: Sequence[Piece], first_piece_id: int, customer_signature: bytes) -> Call:
        return self._call("add", set_id, [piece.abi() for piece in pieces], first_piece_id, customer_signature)

    def schedule_removals(self, set_id: bytes, piece_ids: Sequence[int], customer_signature: bytes = b"") -> Call:
        return self._call("scheduleRemovals", set_id, list(piece_ids), customer_signature)

    def poke(self) -> Call:
        return self._call("poke")

    def prove(self, proofs: Sequence[Proof]) -> Call:
        """Proofs of several data sets, packed behind the selector: the contract itself finds where each one ends."""
        call = self._call("prove")
        return replace(call, data=call.data + b"".join(proof.set_id[:16] + proof.data for proof in proofs))

    def report_fault(self, set_id: bytes, period: int) -> Call:
        return self._call("reportFault", set_id, period)

    def settle(self, provider: str) -> Call:
        return self._call("settle", provider)

    def terminate(self, set_id: bytes, customer_signature: bytes = b"") -> Call:
        return self._call("terminate", set_id, customer_signature)

    def end_inactive(self, set_id: bytes) -> Call:
        """Ends a data set that nobody has proven for thirty periods; anyone may."""
        return self._call("endInactive", set_id)

    def return_escrow(self, set_id: bytes) -> Call:
        """Gives what is left in the escrow of a data set that is over back to its customer; anyone may."""
        return self._call("returnEscrow", set_id)

    def multicall(self, calls: Sequence[Call]) -> Call:
        """Several of this contract's calls in one transaction, all or nothing, such as open, fund and add."""
        return self._call("multicall", [call.data for call in calls])
