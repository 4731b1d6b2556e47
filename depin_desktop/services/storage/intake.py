"""Takes a piece in: authorise, reserve, stream to a temporary file while sealing, compare, make durable, acknowledge.

The event loop only gathers what arrives; a thread of the folder writes and seals it at the same time (`pump.py`).
Whatever goes wrong, the temporary file and the reserved room are gone before the answer is sent.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http import HttpVersion11

from depin_desktop.api.models import FolderState
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_size
from depin_desktop.sealing import Seal
from depin_desktop.services.storage import policy, wire
from depin_desktop.services.storage.files import PieceWriter
from depin_desktop.services.storage.folders import Folder, Folders, Reservation, no_space
from depin_desktop.services.storage.pieces import Pieces
from depin_desktop.services.storage.pump import Pump
from depin_desktop.services.storage.store import Piece, PieceState, PieceStore

log = logging.getLogger(__name__)

IDLE_S = 60.0
"""How long an upload may stand still before its room is given to others."""


@dataclass(frozen=True)
class Acknowledged:
    """A receipt, and whether the piece is new."""

    receipt: wire.Receipt
    created: bool


@dataclass(frozen=True)
class IntakeLimits:
    """Bounds on what strangers may send; sizes in bytes."""

    max_piece: int = policy.MAX_PIECE_BYTES
    unpaid_per_customer: int = policy.UNPAID_CAP_BYTES
    uploads: int = policy.MAX_UPLOADS
    receipt_life_s: int = policy.RECEIPT_LIFE_S


class Intake:
    """Uploads of one provider.

    Args:
        provider: the owner's address, as the offer states it.
        accepting: whether anything new may be taken now.
        received: told of every batch of bytes that arrived.
        stored: told the size of every new piece.
    """

    def __init__(
        self,
        pieces: Pieces,
        *,
        provider: str,
        operator: Signer,
        accepting: Callable[[], bool],
        received: Callable[[int], None],
        stored: Callable[[int], None],
        clock: Callable[[], float],
        limits: IntakeLimits | None = None,
    ) -> None:
        self._pieces = pieces
        self._store: PieceStore = pieces.store
        self._folders: Folders = pieces.folders
        self._provider = provider
        self._operator = operator
        self._accepting = accepting
        self._received = received
        self._stored = stored
        self._clock = clock
        self.limits = limits or IntakeLimits()
        self._uploads = 0
        self.upload_ended = asyncio.Event()
        self._arriving: dict[str, int] = {}  # bytes under way per customer

    @property
    def uploads(self) -> int:
        """Uploads under way."""
        return self._uploads

    async def put(self, request: web.Request, root: str) -> Acknowledged:
        """Handles one upload of the piece `root` (64 hexadecimal digits).

        Raises:
            UserFacingError: with the status and code of the refusal; nothing of the piece is left then.
        """
        size = self._check_size(request.content_length)
        customer = wire.read_authorization(
            request.headers.get("Authorization"),
            provider=self._provider,
            root=root,
            size=size,
            now=self._clock(),
            max_life_s=policy.MAX_AUTHORISATION_LIFE_S,
        )
        held = await self._pieces.held(root)
        if held is not None and held[0].size == size:
            return await self._acknowledge_held(held[0], customer)
        await self._check_limits(customer, size)
        self._uploads += 1
        self._arriving[customer] = self._arriving.get(customer, 0) + size
        try:
            reservation = self._folders.reserve(size)
            try:
                return await self._take(request, root, size, customer, reservation)
            finally:
                reservation.release()
        finally:
            self._uploads -= 1
            self.upload_ended.set()
            self.upload_ended.clear()
            self._arriving[customer] -= size
            if not self._arriving[customer]:
                del self._arriving[customer]

    def _check_size(self, size: int | None) -> int:
        if size is None:
            raise UserFacingError(
                "The request does not say how long the piece is.", "Send Content-Length.", code="no-length", status=411
            )
        if size == 0:
            raise UserFacingError("An empty piece cannot be stored.", "Send at least one byte.", code="empty-piece")
        if size > self.limits.max_piece:
            raise UserFacingError(
                f"A piece may have at most {format_size(self.limits.max_piece)}.",
                "Cut it into smaller pieces.",
                code="piece-too-large",
                status=413,
            )
        return size

    async def _check_limits(self, customer: str, size: int) -> None:
        if not self._accepting():
            raise UserFacingError(
                "This provider takes nothing new just now.", "Choose another.", code="not-accepting", status=503
            )
        if self._uploads >= self.limits.uploads:
            raise UserFacingError("Too many uploads are under way.", "Try again in a moment.", code="busy", status=429)
        unpaid = await self._store.unpaid_bytes(customer, self._clock()) + self._arriving.get(customer, 0)
        if unpaid + size > self.limits.unpaid_per_customer:
            raise UserFacingError(
                f"{format_size(unpaid)} that you have stored here are not yet in a data set.",
                "Add them to a data set first; then send more.",
                code="too-much-unpaid",
                status=429,
            )

    async def _acknowledge_held(self, piece: Piece, customer: str) -> Acknowledged:
        """A receipt without an upload; the one given before while it lasts."""
        receipt = await self._store.receipt(piece.root, customer, self._clock())
        if receipt is None:
            receipt = self._receipt(piece, customer)
            async with self._pieces.changing(piece.root):
                if await self._pieces.held(piece.root) is None:  # it expired while we looked
                    raise UserFacingError("The piece was just removed.", "Send it again.", code="gone", status=409)
                await self._store.acknowledge(piece, receipt)
        return Acknowledged(receipt, created=False)

    def _receipt(self, piece: Piece, customer: str) -> wire.Receipt:
        now = int(self._clock())
        return wire.Receipt(
            root=piece.root,
            size=piece.size,
            leaf_count=piece.leaf_count,
            customer=customer,
            provider=self._provider,
            stored_at=now,
            expires_at=now + self.limits.receipt_life_s,
        ).signed(self._operator)

    async def _take(
        self, request: web.Request, root: str, size: int, customer: str, reservation: Reservation
    ) -> Acknowledged:
        folder = reservation.folder
        writer = await self._begin(folder, size)
        try:
            await _invite(request)
            seal = await self._stream(request, size, folder, writer)
            if seal.root.hex() != root:
                raise UserFacingError(
                    "The bytes do not give the root that they were announced under.",
                    "Seal the piece again and send what was sealed.",
                    code="wrong-root",
                )
            return await self._keep(root, size, customer, seal, writer, reservation)
        except ConnectionError:
            raise  # the customer went away: an OSError, but not the disk's
        except OSError as error:
            raise self._disk_failed(folder, size, error) from error
        finally:
            await asyncio.shield(folder.run(writer.discard))

    async def _begin(self, folder: Folder, size: int) -> PieceWriter:
        def begin() -> PieceWriter | None:
            # The probe's figure may be a minute old; other programs write to this disk too.
            if folder.files.disk_free() - policy.footprint(size) < folder.config.keep_free:
                return None
            return PieceWriter(folder.files)

        try:
            writer = await folder.run(begin)
        except OSError as error:
            raise self._disk_failed(folder, size, error) from error
        if writer is None:
            folder.report(FolderState.FULL, "The disk has filled up.")
            raise no_space(size)
        return writer

    async def _stream(self, request: web.Request, size: int, folder: Folder, writer: PieceWriter) -> Seal:
        """Moves the body into the writer, which writes and seals in a thread while more arrives."""
        pump = Pump(folder.run, writer.write)
        left = size
        try:
            while left:
                chunk = await _next_chunk(request)
                if not chunk:
                    raise _truncated(size - left, size)
                left -= len(chunk)
                self._received(len(chunk))
                await pump.put(chunk)
            await pump.finish()
        finally:
            await pump.stop()  # no thread may write into a file that is being removed
        return await folder.run(writer.seal)

    async def _keep(
        self, root: str, size: int, customer: str, seal: Seal, writer: PieceWriter, reservation: Reservation
    ) -> Acknowledged:
        folder = reservation.folder
        piece = Piece(root, folder.id, size, seal.leaf_count, PieceState.HELD, self._clock())
        receipt = self._receipt(piece, customer)

        async def work() -> Acknowledged:
            async with self._pieces.changing(root):
                if (held := await self._pieces.held(root)) is not None:  # a second upload of the same piece was quicker
                    await self._store.acknowledge(held[0], receipt)
                    return Acknowledged(receipt, created=False)
                await folder.run(lambda: writer.store(root, seal))
                reservation.keep()
                await self._store.acknowledge(piece, receipt)
                self._stored(size)
                return Acknowledged(receipt, created=True)

        # Once it has a name, a piece gets its row, whether or not the customer still listens.
        finishing = asyncio.ensure_future(work())
        try:
            return await asyncio.shield(finishing)
        finally:
            await asyncio.wait([finishing])

    def _disk_failed(self, folder: Folder, size: int, error: OSError) -> UserFacingError:
        log.warning("storing in %s failed: %s", folder.config.path, error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            folder.report(FolderState.FULL, "The disk is full.")
        elif error.errno == errno.ENOENT:
            folder.report(FolderState.MISSING, "The folder is not there. Is the disk connected?")
        else:
            folder.report(FolderState.READ_ONLY, f"Writing fails ({error.strerror}).")
        return no_space(size)


async def _next_chunk(request: web.Request) -> bytes:
    """What has arrived of the body, empty at its end or when the customer went away."""
    try:
        async with asyncio.timeout(IDLE_S):
            return await request.content.readany()
    except TimeoutError as error:
        raise UserFacingError(
            f"Nothing arrived for {IDLE_S:.0f} s.", "Send the piece again.", code="too-slow", status=408
        ) from error
    except (web.RequestPayloadError, ConnectionError):
        return b""


async def _invite(request: web.Request) -> None:
    """Answers `Expect: 100-continue`, now that the upload is authorised and its room reserved."""
    expected = request.headers.get("Expect", "").lower() == "100-continue"
    if expected and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def expect_nothing(_request: web.Request) -> None:
    """For the route: aiohttp must not invite the body by itself; `Intake` does when it will be stored."""


def _truncated(arrived: int, size: int) -> UserFacingError:
    return UserFacingError(
        f"Only {arrived} of {size} bytes arrived.", "Send the piece again.", code="truncated", status=400
    )
