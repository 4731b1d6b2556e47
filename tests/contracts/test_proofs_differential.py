"""Python's proofs against the deployed verifier, over random trees: what one accepts the other accepts, and no more.

Every case is an `eth_call` of the real `prove` on an anvil whose data sets hold random pieces; the period's seed is
overridden for that call alone, so one period asks thousands of different questions. `DEPIN_DEEP=1` asks ten times as
many and flips every bit of some proofs.
"""

from __future__ import annotations

import contextlib
import os
import random
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from eth_hash.auto import keccak

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.deals import Piece, Proof, StorageDeals, Terms
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.sealing import LEAF, Seal, prove_leaves, seal, verify_leaves
from tests.integration.chain_anvil import MIN_STAKE, PERIOD_S, Anvil, account, anvil_with_contracts

DEEP = bool(os.environ.get("DEPIN_DEEP"))
SETS = 64 if DEEP else 8
PIECES = 64  # of each set
CASES = 100 if DEEP else 60  # of each set, honest and altered ones alike
WHOLE_PROOFS = 4 if DEEP else 1  # of which bits are flipped one by one
EVERY_BIT = 1 if DEEP else 7
AT_ONCE = 100
US = account(1)  # customer, provider and operator in one: the contracts do not mind

pytestmark = [pytest.mark.timeout(1800 if DEEP else 120), pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Held:
    """A piece of a data set, with its bytes."""

    data: bytes
    sealed: Seal

    def prove(self, opened: Sequence[int]) -> bytes:
        proof = prove_leaves(lambda at, n: self.data[at : at + n], self.sealed.leaf_count, opened, self.sealed.layer)
        assert verify_leaves(self.sealed.root, self.sealed.leaf_count, opened, proof)
        return proof


@dataclass(frozen=True)
class Set:
    """A data set as it stands after its removals: the live pieces in order."""

    id: bytes
    live: tuple[Held, ...]

    def challenged(self, seed: bytes) -> list[tuple[Held, list[int]]]:
        """Whose leaves the seed asks for, reckoned from the words of the protocol alone."""
        ends = list(accumulate(one.sealed.leaf_count for one in self.live))
        drawn = {int.from_bytes(keccak(seed + self.id + i.to_bytes(32, "big"))) % ends[-1] for i in range(5)}
        places = sorted((bisect_right(ends, index), index) for index in drawn)
        return [
            (piece, [index - (ends[at] - piece.sealed.leaf_count) for _, index in some])
            for at, some in groupby(places, key=lambda place: place[0])
            for piece in (self.live[at],)
        ]

    def answer(self, seed: bytes) -> bytes:
        return b"".join(piece.prove(opened) for piece, opened in self.challenged(seed))


class Verifier:
    """The contract, asked many questions at once."""

    def __init__(self, anvil: Anvil, deals: StorageDeals) -> None:
        self.anvil, self.deals = anvil, deals
        self.sets: list[Set] = []
        self.seed_slot = ""

    async def find_seed_slot(self, period: int) -> None:
        """Where `seedOf[period]` lies: the slot whose override the view sees."""
        mark = b"\x77" * 32
        view = {"to": self.deals.address, "data": hex_(self.deals.interface.functions["seedOf"].encode(period))}
        for base in range(40):
            slot = hex_(keccak(period.to_bytes(32, "big") + base.to_bytes(32, "big")))
            if await self.anvil.ask("eth_call", view, "latest", self._with_seed(slot, mark)) == hex_(mark):
                self.seed_slot = slot
                return
        raise AssertionError("the seeds lie nowhere")

    def _with_seed(self, slot: str, seed: bytes) -> dict[str, Any]:
        return {self.deals.address: {"stateDiff": {slot: hex_(seed)}}}

    async def accepts(self, cases: Sequence[tuple[bytes, list[Proof]]]) -> list[bool]:
        """Whether each `prove` passes under its seed; what fails must fail as a bad proof."""
        found: list[bool] = []
        bad = tuple(hex_(keccak(text)[:4]) for text in (b"BadProof(bytes32,uint256)", b"UnknownSet(bytes32)"))
        async with aiohttp.ClientSession() as session:
            for at in range(0, len(cases), AT_ONCE):
                batch = [self._question(n, *case) for n, case in enumerate(cases[at : at + AT_ONCE])]
                async with session.post(self.anvil.url, json=batch) as answer:
                    answers = sorted(await answer.json(), key=lambda one: one["id"])
                for one in answers:
                    found.append("result" in one)
                    assert "result" in one or str(one["error"].get("data", "")).startswith(bad), one
        return found

    def _question(self, number: int, seed: bytes, proofs: list[Proof]) -> dict[str, Any]:
        call = {"from": US.address, "to": self.deals.address, "data": hex_(self.deals.prove(proofs).data)}
        params = [call, "latest", self._with_seed(self.seed_slot, seed)]
        return {"jsonrpc": "2.0", "id": number, "method": "eth_call", "params": params}


def hex_(data: bytes) -> str:
    return "0x" + data.hex()


def random_piece(luck: random.Random) -> Held:
    """Of one leaf, of few, of many, of more than one span of the cached layer; seldom of a power of two."""
    leaves = luck.choice(
        (1, 2, luck.randint(3, 9), luck.randint(10, 255), luck.choice((256, 512)), luck.randint(257, 900))
    )
    data = luck.randbytes(leaves * LEAF - luck.randrange(LEAF))
    return Held(data, seal(data))


async def found_set(deals: StorageDeals, sender: Sender, luck: random.Random) -> Set:
    """A data set of random pieces, some of them already queued to be removed."""
    salt = luck.randbytes(32)
    set_id = typed_data.data_set_id(US.address, US.address, salt)
    held = [random_piece(luck) for _ in range(PIECES)]
    pieces = [Piece(one.sealed.root, one.sealed.leaf_count) for one in held]
    gone = set(luck.sample(range(PIECES), PIECES // 8))
    calls = (
        deals.open(Terms(US.address, US.address, 0, 2**40, salt), b""),
        deals.add(set_id, pieces, 0, b""),
        deals.schedule_removals(set_id, sorted(gone)),
    )
    await sender.send(deals.multicall(calls), purpose="found a data set")
    return Set(set_id, tuple(one for at, one in enumerate(held) if at not in gone))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def verifier(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Verifier]:
    folder = tmp_path_factory.mktemp("verifier")
    async with anvil_with_contracts(folder, US) as (anvil, network), contextlib.AsyncExitStack() as stack:
        chain = await Chain.connect(network)
        stack.push_async_callback(chain.close)
        database = Database(folder / "sender.sqlite")
        await database.open()
        stack.push_async_callback(database.close)
        sender = Sender(chain, US, database)
        await sender.start()
        stack.push_async_callback(sender.stop)

        registry = chain.registry
        calls = [
            chain.token.approve(registry.address, MIN_STAKE),
            registry.register(US.address, US.address, b"\x05" * 32, MIN_STAKE),
        ]
        await sender.send_many(calls, purpose="register")
        made, luck = Verifier(anvil, chain.deals), random.Random(20260801)
        made.sets = [await found_set(chain.deals, sender, luck) for _ in range(SETS)]
        period = await chain.deals.current_period() + 1
        await anvil.ask("evm_setNextBlockTimestamp", await chain.deals.genesis() + (period + 1) * PERIOD_S - 1)
        await anvil.ask("evm_mine")
        await made.find_seed_slot(period)
        yield made


async def test_both_sides_accept_the_same_proofs(verifier: Verifier) -> None:
    luck = random.Random(7)
    cases: list[tuple[bytes, list[Proof]]] = []
    right: list[bool] = []
    for one in verifier.sets:
        for number in range(CASES):
            seed = luck.randbytes(32)
            data = bytearray(one.answer(seed))
            honest = number % 3 != 0
            if not honest:
                alter(luck, data, number // 3)
            cases.append((seed, [Proof(one.id, bytes(data))]))
            right.append(honest)
    assert await verifier.accepts(cases) == right


def alter(luck: random.Random, data: bytearray, how: int) -> None:
    """Makes a proof wrong in one of several ways."""
    place = luck.randrange(len(data))
    match how % 4:
        case 0:
            data[place] ^= 1 << luck.randrange(8)
        case 1:
            del data[-1 - luck.randrange(min(64, len(data) - 1)) :]
            if data[-1] == 0:  # zeros that are missing at the end of calldata read as zeros
                data[-1] = 1
        case 2:
            data += luck.randbytes(1 + luck.randrange(64))
        case _:
            word = place // 32 * 32
            data[word : word + 32] = luck.randbytes(32)


async def test_several_sets_prove_in_one_call(verifier: Verifier) -> None:
    luck = random.Random(8)
    cases: list[tuple[bytes, list[Proof]]] = []
    right: list[bool] = []
    for number in range(24):
        seed = luck.randbytes(32)
        some = luck.sample(verifier.sets, luck.randint(2, len(verifier.sets[:8])))
        proofs = [Proof(one.id, one.answer(seed)) for one in some]
        if number % 2:
            data = bytearray(proofs[-1].data)
            alter(luck, data, 0)
            proofs[-1] = Proof(proofs[-1].set_id, bytes(data))
        cases.append((seed, proofs))
        right.append(number % 2 == 0)
    assert await verifier.accepts(cases) == right


async def test_no_bit_of_a_proof_can_be_changed(verifier: Verifier) -> None:
    """Including proofs that show several leaves of one piece beside single ones."""
    luck = random.Random(9)
    for _ in range(WHOLE_PROOFS):
        one = luck.choice(verifier.sets)
        seed = luck.randbytes(32)
        while max(len(opened) for _, opened in one.challenged(seed)) < 2:
            seed = luck.randbytes(32)
        whole = one.answer(seed)
        assert await verifier.accepts([(seed, [Proof(one.id, whole)])]) == [True]
        cases = []
        for bit in range(0, len(whole) * 8, EVERY_BIT):
            data = bytearray(whole)
            data[bit // 8] ^= 1 << bit % 8
            cases.append((seed, [Proof(one.id, bytes(data))]))
        assert not any(await verifier.accepts(cases))
