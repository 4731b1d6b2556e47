"""A provider's storage service on the session's real chain, and a customer who signs what customers sign."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount

from depin_desktop.api.models import StorageStatus
from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.deals import Piece, Terms
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.indexer import Indexer
from depin_desktop.chain.sender import Sender
from depin_desktop.core.home import Home
from depin_desktop.net.identity import Identity
from depin_desktop.sealing import seal
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.vault import Vault
from tests.unit.storage_rig import Rig, noise, rig

DAY_S = 86_400


@dataclass
class Market:
    """One provider, one customer, one chain."""

    rig: Rig
    chain: Chain
    customer: LocalAccount
    warp: Any
    sender: Sender
    provider: str = ""
    sets: dict[bytes, tuple[Terms, list[Piece]]] = field(default_factory=dict)

    @property
    def price(self) -> int:
        return self.rig.service._leaf_price()

    async def upload(self, *contents: bytes) -> list[Piece]:
        pieces = []
        for data in contents:
            status, receipt = await self.rig.put(data)
            assert status in (200, 201), receipt
            pieces.append(Piece(bytes.fromhex(receipt["root"]), receipt["leaf_count"]))
        return pieces

    async def terms(self, **changes: Any) -> Terms:
        """Terms for 30 days at the provider's price."""
        now = await self.chain.now()
        fields = {"price": self.price, "expires": now + 30 * DAY_S, "salt": os.urandom(32), "provider": self.rig.owner}
        return Terms(customer=self.customer.address, **{**fields, **changes})

    async def body(
        self, terms: Terms, pieces: list[Piece], *, first: int = 0, amount: int | None = None, **changes: Any
    ) -> dict[str, Any]:
        """A request as `docs/protocol.md` describes it; by default it funds a hundred periods."""
        network, signer = self.chain.network, changes.pop("signer", self.customer)
        set_id = typed_data.data_set_id(terms.customer, terms.provider, terms.salt)
        now = await self.chain.now()
        if amount is None:
            amount = terms.price * sum(piece.leaf_count for piece in pieces) * 100
        salt, after, before = os.urandom(32), now - 60, now + 3600
        signed = typed_data.sign_funding(signer, network, set_id, amount, after, before, salt)
        funding = {
            "amount": str(amount),
            "valid_after": after,
            "valid_before": before,
            "salt": "0x" + salt.hex(),
            "signature": "0x" + signed.hex(),
        }
        body = {
            "terms": {
                "customer": terms.customer,
                "provider": terms.provider,
                "price": str(terms.price),
                "expires": terms.expires,
                "salt": "0x" + terms.salt.hex(),
            },
            "terms_signature": "0x" + typed_data.sign_terms(signer, network, terms).hex(),
            "funding": funding if amount else None,
            "pieces": [{"root": piece.root.hex(), "leaf_count": piece.leaf_count} for piece in pieces],
            "first_piece_id": first,
            "add_signature": "0x" + typed_data.sign_add_pieces(signer, network, set_id, first, pieces).hex(),
        }
        return {**body, **changes}

    async def post(self, terms: Terms, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        set_id = typed_data.data_set_id(terms.customer, terms.provider, terms.salt)
        async with self.rig.client.post(f"/storage/sets/0x{set_id.hex()}", json=body) as response:
            return response.status, await response.json()

    async def open(self, *contents: bytes, **options: Any) -> bytes:
        """Uploads, opens, funds and adds; the set's id."""
        terms = await self.terms(**options)
        pieces = await self.upload(*contents)
        status, answer = await self.post(terms, await self.body(terms, pieces))
        assert status == 200, answer
        set_id = bytes.fromhex(answer["set_id"][2:])
        self.sets[set_id] = (terms, pieces)
        return set_id

    async def prove(self) -> int:
        """Goes to the present period's window, past our turn to poke, and lets the prover work; the period."""
        period = await self.warp.to_window()
        await self.warp.by(await self.chain.deals.window_s() // 10 + 1)
        await self.rig.service.proving.trigger_and_wait()
        assert self.rig.service._prover.problem == ""
        return period

    async def status(self) -> StorageStatus:
        """The snapshot with the rows as they are now; the service itself reads them a moment after each change."""
        return await self.rig.service._refresh()

    def activities(self, news: Any, kind: str) -> list[Any]:
        return [m.data for m in news._pending if m.topic == "activity" and m.data.kind == kind]


@contextlib.asynccontextmanager
async def market(
    home: Home, chain: Chain, warp: Any, customer: LocalAccount, *, index: bool = False, **options: Any
) -> AsyncIterator[Market]:
    """A connected provider in `home`, with 64 MiB shared."""
    operator, owner = hotkeys.operator(home), Vault.load(home.vault).owner
    identity = Identity.load_or_create(home.keys / "node.key")
    folder = Path(home.root) / "disk"
    async with rig(
        home.root, folder, owner=owner, operator=operator, node_id=identity.node_id, network=chain.network, **options
    ) as r:
        r.customer = customer
        sender = Sender(chain, operator, r.database)
        indexer = Indexer(chain, r.database) if index else None
        await sender.start()
        try:
            if indexer is not None:
                await indexer.start()
                await indexer.sync()
            await r.service.connect(chain, sender, index=indexer)
            yield Market(r, chain, customer, warp, sender, owner)
        finally:
            if indexer is not None:
                await indexer.stop()
            await sender.stop()


def pieces_of(*sizes: int) -> list[bytes]:
    return [noise(size, ("piece", at, size)) for at, size in enumerate(sizes)]


def root_of(data: bytes) -> str:
    return seal(data).root.hex()
