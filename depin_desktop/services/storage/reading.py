"""Serves pieces, whole or in ranges, paid per byte through the paywall.

The first bytes are read from the disk before the customer is charged: nobody pays for what cannot be delivered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol

from aiohttp import web

from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.storage import policy
from depin_desktop.services.storage.folders import Folder
from depin_desktop.services.storage.pieces import Pieces
from depin_desktop.services.storage.store import Piece, PieceState

CHUNK_BYTES = 1 << 20
IDLE_S = 60.0
"""How long a customer may leave a chunk untaken before the download is given up."""


class Payment(Protocol):
    """A charge that is final and on disk."""

    @property
    def headers(self) -> Mapping[str, str]:
        """To be added to the answer."""


class Paywall(Protocol):
    """Whoever charges for requests (`payments.paywall.Paywall`)."""

    async def charge(self, request: web.Request, amount: int, description: str) -> Payment:
        """Charges `amount` base units; raises `web.HTTPPaymentRequired` where the request does not pay."""


class FreeOfCharge:
    """The paywall of a provider that is not connected to a chain yet, or gives reads away."""

    @dataclass(frozen=True)
    class Nothing:
        headers: Mapping[str, str]

    async def charge(self, request: web.Request, amount: int, description: str) -> Payment:
        return self.Nothing({})


@dataclass(frozen=True)
class Span:
    """The bytes `start` up to but not including `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


def requested_span(request: web.BaseRequest, size: int) -> Span | None:
    """The one range that is asked for, None for the whole; several ranges count as none, as RFC 9110 allows.

    Raises:
        UserFacingError: the range lies outside of the piece ("bad-range", 416).
    """
    header = request.headers.get("Range", "")
    if not header or "," in header or not header.startswith("bytes="):
        return None
    try:
        wanted = request.http_range
        start, stop, _ = wanted.indices(size)
        if wanted.start is not None and wanted.start >= size:
            start = size
    except ValueError:
        return None  # not a range at all: to be ignored
    if start >= stop:
        raise UserFacingError(
            f"The piece has {size} bytes; nothing of it is in the range asked for.",
            "Ask for a range inside it.",
            code="bad-range",
            status=416,
        )
    return Span(start, stop)


class Reading:
    """Downloads of one provider.

    Args:
        paywall, price_per_gib: read at every request, as both may change while the service runs.
        sent: told of the bytes that went out.
        served: told the length of every read that was served to its end.
    """

    def __init__(
        self,
        pieces: Pieces,
        *,
        paywall: Callable[[], Paywall],
        price_per_gib: Callable[[], int],
        sent: Callable[[int], None],
        served: Callable[[int], None],
    ) -> None:
        self._pieces = pieces
        self._paywall = paywall
        self._price_per_gib = price_per_gib
        self._sent = sent
        self._served = served

    async def head(self, request: web.Request, root: str) -> web.StreamResponse:
        """Size and existence; free."""
        piece, _ = await self._find(root)
        response = web.StreamResponse(headers=_headers(piece))
        response.content_length = piece.size
        await response.prepare(request)
        await response.write_eof()
        return response

    async def get(self, request: web.Request, root: str) -> web.StreamResponse:
        """The piece or a range of it.

        Raises:
            UserFacingError: no such piece (404), its disk is away (503), or a bad range (416).
            web.HTTPPaymentRequired: the request does not pay.
        """
        piece, folder = await self._find(root)
        asked = requested_span(request, piece.size)
        span = asked or Span(0, piece.size)
        try:
            file, first = await folder.run(lambda: _open_at(folder, root, span))
        except OSError as error:
            raise await self._unreadable(piece, error) from error
        try:
            amount = policy.read_price(span.length, self._price_per_gib())
            payment = await self._paywall().charge(request, amount, f"read {root}")
            response = web.StreamResponse(status=206 if asked else 200, headers={**_headers(piece), **payment.headers})
            response.content_length = span.length
            if asked:
                response.headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{piece.size}"
            await response.prepare(request)
            await self._stream(response, folder, file, first, span.length)
            self._served(span.length)
        finally:
            await asyncio.shield(folder.run(file.close))
        return response

    async def _find(self, root: str) -> tuple[Piece, Folder]:
        found = await self._pieces.held(root)
        if found is not None:
            return found
        piece = await self._pieces.store.piece(root)
        if piece is not None and piece.state is PieceState.HELD:
            raise UserFacingError(
                "The disk with this piece is not there just now.", "Try again later.", code="disk-away", status=503
            )
        raise UserFacingError("This provider does not hold that piece.", "", code="no-such-piece", status=404)

    async def _stream(
        self, response: web.StreamResponse, folder: Folder, file: BinaryIO, first: bytes, length: int
    ) -> None:
        """Sends `length` bytes; the next chunk is read while the one before is being sent."""
        chunk, left = first, length
        while True:
            left -= len(chunk)
            reading = None
            if left:
                reading = asyncio.ensure_future(folder.run(partial(file.read, min(left, CHUNK_BYTES))))
            try:
                async with asyncio.timeout(IDLE_S):
                    await response.write(chunk)
            except TimeoutError as error:
                raise ConnectionResetError("the customer takes nothing any more") from error
            finally:
                if reading is not None:
                    await asyncio.wait([reading])  # the file is closed by the caller: not under a reading thread
            self._sent(len(chunk))
            if reading is None:
                break
            chunk = reading.result()
            if not chunk:
                raise ConnectionResetError("the piece became shorter while it was sent")
        await response.write_eof()

    async def _unreadable(self, piece: Piece, error: OSError) -> UserFacingError:
        if isinstance(error, FileNotFoundError):
            await self._pieces.unfit(piece, PieceState.LOST, "its file is gone")
            return UserFacingError("This provider has lost that piece.", "", code="no-such-piece", status=404)
        return UserFacingError(
            "The disk cannot read this piece just now.", "Try again later.", code="disk-away", status=503
        )


def _open_at(folder: Folder, root: str, span: Span) -> tuple[BinaryIO, bytes]:
    """The open piece and its first chunk; raises OSError, also when there is less than the rows say."""
    file = folder.files.open_piece(root)
    first = b""
    try:
        file.seek(span.start)
        first = file.read(min(span.length, CHUNK_BYTES))
    finally:
        if not first:
            file.close()
    if not first:
        raise OSError("the piece is shorter than it should be")
    return file, first


def _headers(piece: Piece) -> dict[str, str]:
    return {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": f'"{piece.root}"'}
