"""A put: choose providers, check the money, send the pieces, then have them added to data sets.

Memory stays flat for files of any size: while one segment is being sent the next is read, encrypted and sealed, and no
more than `WINDOW` are in memory. Every acknowledged piece is a row, so an interrupted put goes on where it was; and a
provider that fails gives its slot to another, whose pieces are then simply missing like those of an interrupted put.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from depin_desktop.chain.bindings.deals import Piece as ChainPiece
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_size
from depin_desktop.customer import crypto, deals
from depin_desktop.customer.buffers import Buffers
from depin_desktop.customer.catalogue import MANIFEST, PieceRow, SegmentRow, StoredFile, UploadRow
from depin_desktop.customer.coding import check_code
from depin_desktop.customer.layout import SEGMENT_BYTES, Geometry, segment_size, segments_of, share_bytes
from depin_desktop.customer.lines import NEXT_BYTES, Lines
from depin_desktop.customer.locator import Locator
from depin_desktop.customer.manifest import Manifest, Segment, manifest_bytes
from depin_desktop.customer.market import Seller, gone, sellers, too_few
from depin_desktop.customer.provider_client import ProviderClient, ProviderProblem
from depin_desktop.customer.source import Piece, Source, sealed_piece
from depin_desktop.customer.tools import OFFERS_TIMEOUT_S, Progress, Tools
from depin_desktop.sealing import leaf_count
from depin_desktop.sealing.merkle import LEAF

log = logging.getLogger(__name__)

WINDOW = 3  # one being prepared, one being sent, one waiting for its receipts
COMMIT_BYTES = 1 << 30  # what a provider may hold of a put without a data set; receipts last an hour
MANIFEST_ALLOWANCE = 1 << 20


async def put(
    tools: Tools,
    source: Source,
    *,
    name: str,
    code: tuple[int, int],
    term_s: int,
    progress: Progress | None = None,
    segment_bytes: int = SEGMENT_BYTES,
) -> StoredFile:
    """Stores a file; returns when it is in data sets on chain. Cancelling it leaves an interrupted put to go on with.

    Raises:
        UserFacingError: not enough providers or funds (before anything is sent), or too many providers fail.
    """
    check_code(*code)
    began = time.monotonic()
    upload = await _Upload.prepare(tools, source, name, code, term_s, segment_bytes)
    upload.progress = progress
    stored = await upload.run()
    return stored.model_copy(update={"transfer_s": time.monotonic() - began - stored.chain_s})


class _Upload:
    """One put under way."""

    def __init__(self, tools: Tools, source: Source, row: UploadRow, wish: tuple[int, int, int]) -> None:
        self._tools = tools
        self._source = source
        self._row = row
        self._code = (row.needed, row.total)
        self._count = segments_of(row.size, row.segment_bytes)
        self._wish = wish
        self._candidates: dict[str, Seller] = {}
        self._failed: dict[str, UserFacingError] = {}
        self._resent: set[str] = set()
        self._slots: list[str] = []
        self._segments: dict[int, SegmentRow] = {}
        self._pieces: dict[tuple[int, int], PieceRow] = {}
        self._sent = 0
        self._buffers = Buffers()
        self._lines = Lines()
        self._whole = sum(self._geometry(at).share for at in range(self._count)) * row.total
        self._chain_s = 0.0
        self.progress: Progress | None = None
        self._look_again()

    @classmethod
    async def prepare(
        cls, tools: Tools, source: Source, name: str, code: tuple[int, int], term_s: int, segment_bytes: int
    ) -> _Upload:
        """An interrupted put of the same file, or a new one whose providers and cost have been checked."""
        now = await tools.chain.now()
        where, total = str(source.path), code[1]
        row = await tools.catalogue.interrupted(where, source.fingerprint, name, *code)
        if row is not None and not now + term_s * 7 // 8 <= row.expires <= deals.expiry(now, term_s):
            await tools.catalogue.forget(row.id)
            row = None
        known = [] if row is None else await tools.catalogue.slots(row.id)
        await tools.market.wait_for(known, total, OFFERS_TIMEOUT_S)
        share, shares = share_bytes(source.size, code[0], segment_bytes)
        per_slot = shares + MANIFEST_ALLOWANCE
        term = (term_s, max(share, MANIFEST_ALLOWANCE), per_slot)
        offers = tools.market.offers().values()
        candidates = sellers(offers, tools.chain.network.chain_id, *term)
        if row is None:
            if len(candidates) < total:
                offering = sum(offer.storage is not None for offer in offers)
                raise too_few(len(candidates), total, offering, per_slot)
            fresh = UploadRow(
                0, where, source.fingerprint, name, crypto.new_key(), source.size, *code, segment_bytes,
                deals.expiry(now, term_s), time.time(),
            )  # fmt: skip
            upload = cls(tools, source, fresh, term)
            upload._slots = [seller.owner for seller in candidates[:total]]
            await upload._check_funds(now)
            upload._call_on_sellers()
            upload._row = await tools.catalogue.begin(fresh, upload._slots)
            return upload
        upload = cls(tools, source, row, term)
        upload._slots = known
        upload._segments = await tools.catalogue.segments(row.id)
        upload._pieces = await tools.catalogue.pieces(row.id)
        upload._look_again()
        for slot, owner in enumerate(known):
            if owner not in upload._candidates and not upload._is_placed(slot):
                await upload._replace(slot, owner, gone(owner))
        await upload._check_funds(now)
        upload._call_on_sellers()
        return upload

    def _look_again(self) -> None:
        """Takes in who offers now; those whose terms are known already keep them; who has pieces needs less room."""
        held: dict[str, int] = {}
        for piece in self._pieces.values():
            held[piece.owner] = held.get(piece.owner, 0) + piece.leaf_count * LEAF
        offers, chain_id = self._tools.market.offers().values(), self._tools.chain.network.chain_id
        found = {seller.owner: seller for seller in sellers(offers, chain_id, *self._wish, held)}
        self._candidates = found | self._candidates

    def _call_on_sellers(self) -> None:
        """Lets connections to the providers be made while the first piece is prepared."""
        for owner in self._slots:
            if owner in self._candidates:
                self._client(owner)

    def _is_placed(self, slot: int) -> bool:
        """Whether everything of a slot but the manifest is in a data set already."""
        return all((at, slot) in self._pieces and self._pieces[at, slot].set_id for at in range(self._count))

    async def _check_funds(self, now: int) -> None:
        cost = self._cost(now, only_missing=True)
        what = f"Storing {format_size(self._row.size)} with {self._row.total} provider(s)"
        await deals.check_funds(self._tools.chain, self._tools.signer.address, cost, what)

    def _cost(self, now: int, *, only_missing: bool) -> int:
        """Base units of escrow for all pieces, or for those that are in no data set yet."""
        periods, total = self._tools.schedule.paid_periods(now, self._row.expires), 0
        for slot, owner in enumerate(self._slots):
            if owner not in self._candidates:
                continue
            leaves = leaf_count(manifest_bytes(self._count, self._row.total))
            for segment in range(self._count):
                piece = self._pieces.get((segment, slot))
                if not (only_missing and piece is not None and piece.set_id):
                    leaves += leaf_count(self._geometry(segment).share)
            total += deals.cost(self._candidates[owner].terms.price_per_leaf_period, leaves, periods)
        return total

    def _geometry(self, segment: int) -> Geometry:
        return Geometry(segment_size(self._row.size, segment, self._row.segment_bytes), self._row.needed)

    # --- the whole ------------------------------------------------------------------------------------------------

    async def run(self) -> StoredFile:
        """Sends and commits until nothing is missing."""
        cost = self._cost(await self._tools.chain.now(), only_missing=False)
        while True:
            await self._send_segments()
            manifest = self._manifest()
            piece = await asyncio.to_thread(_manifest_piece, manifest, self._row.key)
            await asyncio.gather(*(self._send(MANIFEST, slot, piece) for slot in range(self._row.total)))
            if not self._missing() and all((MANIFEST, slot) in self._pieces for slot in range(self._row.total)):
                await self._commit()
                if not self._missing() and self._uncommitted() == []:
                    break
        locator = Locator(self._row.key, piece.root, len(piece.data), *self._code, tuple(dict.fromkeys(self._slots)))
        stored = StoredFile(
            locator=str(locator),
            name=self._row.name,
            size=self._row.size,
            needed=self._row.needed,
            total=self._row.total,
            stored_at=time.time(),
            expires_at=self._row.expires,
            cost=cost,
            chain_s=self._chain_s,
        )
        await self._tools.catalogue.finish(self._row.id, stored)
        self._report(self._row.size)
        return stored

    def _manifest(self) -> Manifest:
        owners = tuple(dict.fromkeys(self._slots))
        holders = tuple(owners.index(owner) for owner in self._slots)
        return Manifest(
            name=self._row.name,
            size=self._row.size,
            needed=self._row.needed,
            total=self._row.total,
            segment_bytes=self._row.segment_bytes,
            created_at=self._row.created_at,
            expires_at=self._row.expires,
            owners=owners,
            segments=tuple(
                Segment(
                    id=self._segments[at].id,
                    size=self._geometry(at).size,
                    roots=_split(self._segments[at].roots),
                    holders=holders,
                )
                for at in range(self._count)
            ),
        )

    # --- sending --------------------------------------------------------------------------------------------------

    def _missing(self) -> dict[int, list[int]]:
        """The slots that lack a piece, by segment."""
        slots = range(self._row.total)
        lacking = {at: [slot for slot in slots if (at, slot) not in self._pieces] for at in range(self._count)}
        return {at: found for at, found in lacking.items() if found}

    async def _send_segments(self) -> None:
        """Sends until every segment has all its pieces with providers."""
        window = asyncio.Semaphore(WINDOW)

        async def send_all(segment: int, slots: list[int], pieces: list[Piece]) -> None:
            try:
                await asyncio.gather(*(self._send(segment, slot, pieces[slot]) for slot in slots))
                self._buffers.give(pieces[0].data)
            finally:
                window.release()

        while missing := self._missing():
            self._sent = sum(
                self._geometry(at).share * (self._row.total - len(missing.get(at, ()))) for at in range(self._count)
            )
            try:
                async with asyncio.TaskGroup() as group:
                    for segment in missing:
                        await window.acquire()
                        if self._uncommitted_bytes() >= COMMIT_BYTES:
                            await self._commit()
                        pieces = await self._prepare(segment, group)
                        # What was acknowledged under another ciphertext is missing again.
                        lacking = [slot for slot in range(self._row.total) if (segment, slot) not in self._pieces]
                        group.create_task(send_all(segment, lacking, pieces))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None

    async def _prepare(self, segment: int, group: asyncio.TaskGroup) -> list[Piece]:
        """The segment's pieces, while their roots are written down: rows keep their order, so before what they answer.

        A segment that was prepared before is made again with the same id only if it comes out the same: two different
        plaintexts must never be encrypted alike. One that was sent but not written down gets a new id.
        """
        fixed = self._segments.get(segment)
        segment_id = crypto.new_segment_id() if fixed is None else fixed.id
        geometry = self._geometry(segment)
        memory = self._buffers.take(geometry.share * geometry.needed)
        while True:
            place = (segment, self._row.segment_bytes)
            pieces = await asyncio.to_thread(self._source.pieces, *place, self._row.key, segment_id, self._code, memory)
            roots = b"".join(piece.root for piece in pieces)
            if fixed is not None and fixed.roots == roots:
                return pieces
            if fixed is None:
                self._segments[segment] = SegmentRow(segment, segment_id, roots)
                group.create_task(self._tools.catalogue.fix_segment(self._row.id, self._segments[segment]))
                for slot in range(self._row.total):
                    self._pieces.pop((segment, slot), None)
                return pieces
            fixed, segment_id = None, crypto.new_segment_id()  # the file was changed behind its time stamp

    async def _send(self, segment: int, slot: int, piece: Piece) -> None:
        """Sends one piece to its slot's provider; when that fails for good, the slot goes to another provider."""
        owner, before = self._slots[slot], self._sent
        held = self._pieces.get((segment, slot))
        if held is not None and held.root == piece.root:
            return
        for attempt in (1, 2):
            try:
                async with self._lines.turn(owner) as turn:
                    left = len(piece.data)

                    def count(sent: int) -> None:
                        nonlocal left
                        left -= sent
                        self._count_sent(sent)
                        if left <= NEXT_BYTES:
                            turn.over()

                    receipt = await self._client(owner).put(piece.root, piece.data, piece.leaf_count, count)
            except UserFacingError as error:
                log.info("piece for %s failed: %s", owner, error)
                self._sent = min(self._sent, max(before, self._sent - len(piece.data)))
                if attempt == 2 or isinstance(error, ProviderProblem) or error.code == "peer-unreachable":
                    await self._replace(slot, owner, error)
                    return
            else:
                break
        if self._slots[slot] == owner:  # else the slot was given away meanwhile, by another piece's failure
            row = PieceRow(segment, slot, owner, piece.root, piece.leaf_count, receipt.expires_at)
            self._pieces[segment, slot] = row
            await self._tools.catalogue.acknowledged(self._row.id, row)

    def _client(self, owner: str) -> ProviderClient:
        seller = self._candidates.get(owner)
        if seller is None:
            raise gone(owner)
        return self._tools.client(seller)

    def _count_sent(self, count: int) -> None:
        self._sent += count
        self._report(min(self._sent, self._whole) * self._row.size // max(1, self._whole))

    def _report(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, self._row.size)

    async def _replace(self, slot: int, owner: str, reason: UserFacingError) -> None:
        """Gives the slot of a failed provider to the next best one."""
        self._failed.setdefault(owner, reason)
        if self._slots[slot] != owner:
            return
        self._look_again()
        used = {*self._slots, *self._failed}
        successor = next((other for other in self._candidates if other not in used), None)
        if successor is None:
            raise UserFacingError(
                f"{reason.message} There is no other provider to take its place.",
                "Run the same command again later: what was sent is kept for a while.",
                code="providers-failed",
                status=502,
            )
        log.warning("%s takes the place of %s: %s", successor, owner, reason)
        self._slots[slot] = successor
        self._pieces = {place: piece for place, piece in self._pieces.items() if place[1] != slot}
        await self._tools.catalogue.replace_slot(self._row.id, slot, successor)

    # --- committing -----------------------------------------------------------------------------------------------

    def _uncommitted(self) -> list[PieceRow]:
        return [piece for piece in self._pieces.values() if piece.set_id is None]

    def _uncommitted_bytes(self) -> int:
        """Of the slot that has most."""
        held: dict[int, int] = {}
        for piece in self._uncommitted():
            held[piece.slot] = held.get(piece.slot, 0) + piece.leaf_count * 256
        return max(held.values(), default=0)

    async def _commit(self) -> None:
        """Has everything acknowledged added to data sets, all providers at once."""
        began = time.monotonic()
        await asyncio.gather(*(self._commit_slot(slot) for slot in range(self._row.total)))
        self._chain_s += time.monotonic() - began

    async def _commit_slot(self, slot: int) -> None:
        owner = self._slots[slot]
        rows = sorted((p for p in self._uncommitted() if p.slot == slot), key=lambda p: (p.segment < 0, p.segment))
        if not rows:
            return
        sets = deals.DataSets(self._tools.chain, self._tools.signer, self._tools.schedule)
        chain_pieces = list({row.root: ChainPiece(row.root, row.leaf_count) for row in rows}.values())
        again = any(row.sending for row in rows)
        await self._tools.catalogue.sending(self._row.id, rows)
        for attempt in (1, 2):
            try:
                placed = await sets.add(self._client(owner), self._row.expires, chain_pieces, again=again)
            except UserFacingError as error:
                log.info("adding to the set with %s failed: %s", owner, error)
                again = True
                if error.code == "piece-missing" and owner not in self._resent:
                    await self._send_again(owner, rows)
                    return
                if attempt == 2:
                    await self._replace(slot, owner, error)
                    return
            else:
                break
        if self._slots[slot] == owner:
            where = {piece.root: piece for piece in placed}
            done = [replace(row, set_id=where[row.root].set_id, piece_id=where[row.root].piece_id) for row in rows]
            self._pieces |= {(row.segment, row.slot): row for row in done}
            await self._tools.catalogue.placed(self._row.id, done)

    async def _send_again(self, owner: str, rows: list[PieceRow]) -> None:
        """Counts pieces as missing that a provider has let go when its receipts ended; once for each provider."""
        self._resent.add(owner)
        for row in rows:
            self._pieces.pop((row.segment, row.slot), None)
        await self._tools.catalogue.lost(self._row.id, rows)


def _manifest_piece(manifest: Manifest, key: bytes) -> Piece:
    return sealed_piece(manifest.seal(key))


def _split(roots: bytes) -> tuple[bytes, ...]:
    return tuple(roots[at : at + 32] for at in range(0, len(roots), 32))
