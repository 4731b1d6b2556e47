"""A get: pieces from whichever providers answer, checked, decoded and decrypted; whole files or ranges of them.

Every chunk is authenticated, so wrong bytes are never returned. Where a chunk does not verify, the pieces' roots tell
who sent what had not been stored; that provider is named and another one asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer import coding, crypto
from depin_desktop.customer.gathering import Gathering, lost
from depin_desktop.customer.health import GOOD, Health
from depin_desktop.customer.layout import Geometry, ShareSpan
from depin_desktop.customer.locator import Locator
from depin_desktop.customer.manifest import Manifest
from depin_desktop.customer.market import Seller
from depin_desktop.customer.provider_client import ProviderClient
from depin_desktop.customer.tools import OFFERS_TIMEOUT_S, Progress, Tools
from depin_desktop.net.http import as_user_error
from depin_desktop.net.offers import StorageOffer
from depin_desktop.sealing import seal

log = logging.getLogger(__name__)

WINDOW = 2
AHEAD = 64
"""A deposit covers so many segments at once; one for a whole very large file would tie up too much."""
MAX_MANIFEST_BYTES = 1 << 26
CHUNKS_AT_ONCE = 16

Sink = Callable[[int, memoryview], None]
"""sink(offset in the segment, plaintext), called in a thread; the memory is used again after it returns."""


class FetchedFile(BaseModel):
    """A file that was fetched.

    Attributes:
        name: as it was stored.
        seconds: how long it took.
        liars: providers that sent what had not been stored; the file is right all the same.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    name: str
    size: int
    seconds: float
    liars: tuple[str, ...] = ()


class StoredPieces:
    """The pieces of one stored file, wherever they are.

    Make one with `open`, which fetches the manifest.
    """

    def __init__(self, tools: Tools, health: Health, locator: Locator, manifest: Manifest) -> None:
        self._tools = tools
        self._health = health
        self._locator = locator
        self.manifest = manifest
        self.arrived: Callable[[int], None] = lambda _: None

    @classmethod
    async def open(cls, tools: Tools, health: Health, locator: Locator) -> StoredPieces:
        """Fetches and opens the manifest.

        Raises:
            UserFacingError: no provider that holds it answers, or the locator is not its file's.
        """
        if locator.size > MAX_MANIFEST_BYTES:
            raise lost("Its manifest is too long to be one.")

        async def fetch(owner: str) -> bytearray:
            try:
                client = await _client(tools, owner)
                data = await _read(client, locator.root, (0, locator.size), locator.size, locator.size)
            except UserFacingError:
                health.failed(owner)
                raise
            if (await asyncio.to_thread(seal, data)).root != locator.root:
                health.lied(owner, "sent a manifest that was not stored")
                raise UserFacingError(f"{owner} sent something else.")
            return data

        owners = sorted(locator.owners, key=health.rank)
        patience = health.patience_s(locator.size)
        async with Gathering(owners, 1, fetch, lambda owner: health.failed(owner), patience) as gathering:
            (data,) = (await gathering.enough()).values()
        try:
            return cls(tools, health, locator, Manifest.open(locator.key, bytes(data)))
        except crypto.Tampered:
            raise lost("Its key does not open its manifest.") from None

    # --- whole segments -------------------------------------------------------------------------------------------

    async def fetch_to(self, out: Path, progress: Progress | None) -> None:
        """Writes the whole file beside `out` and renames it into place."""
        done, size = 0, self.manifest.size
        stored = max(1, sum(self.manifest.geometry(at).sealed for at in range(len(self.manifest.segments))))
        temporary = out.with_name(f".{out.name}.{os.getpid()}.part")

        def count(arrived: int) -> None:
            nonlocal done
            done += arrived
            if progress is not None:
                progress(min(size, done * size // stored), size)

        self.arrived = count
        try:
            with temporary.open("wb", buffering=0) as file:
                await self._fetch_all(_Placer(file))
            await asyncio.to_thread(os.replace, temporary, out)
        except OSError as error:
            raise UserFacingError(
                f"{out} cannot be written ({error.strerror or error}).",
                "Check the folder and the room on its disk.",
                code="unwritable-file",
            ) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        if progress is not None:
            progress(size, size)

    async def _fetch_all(self, file: _Placer) -> None:
        window = asyncio.Semaphore(WINDOW)

        async def one(index: int) -> None:
            try:
                base = index * self.manifest.segment_bytes
                await self._open_segment(index, lambda at, part: file.write_at(base + at, part))
            finally:
                window.release()

        try:
            async with asyncio.TaskGroup() as group:
                for index in range(len(self.manifest.segments)):
                    await window.acquire()
                    group.create_task(one(index))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _open_segment(self, index: int, sink: Sink) -> None:
        """Gives one segment's plaintext to `sink` (in a thread), from any `needed` honest providers.

        What `sink` got counts only once this returns: a part may come again after a provider turned out to have lied.

        Raises:
            UserFacingError: too few of them answer with what was stored.
        """
        segment, geometry = self.manifest.segments[index], self.manifest.geometry(index)
        span = (0, geometry.share)
        async with self._gathering(index, span) as gathering:
            while True:
                shares = await gathering.enough()
                try:
                    await asyncio.to_thread(self._decrypt, index, geometry, shares, sink)
                    return
                except crypto.Tampered:
                    roots = await asyncio.to_thread(lambda held: {at: seal(held[at]).root for at in held}, shares)
                    wrong = [at for at, root in roots.items() if root != segment.roots[at]]
                    if not wrong:
                        raise lost("It was damaged before it was stored.") from None
                    for at in wrong:
                        owner = self._holder(index, at)
                        self._health.lied(owner, f"sent a changed piece {segment.roots[at].hex()}")
                        log.warning("%s sent a changed piece %s", owner, segment.roots[at].hex())
                        gathering.drop(at, f"{owner} sent a changed piece.")

    def _cipher(self, index: int, geometry: Geometry) -> crypto.SegmentCipher:
        return crypto.SegmentCipher(self._locator.key, self.manifest.segments[index].id, index, geometry)

    def _decrypt(self, index: int, geometry: Geometry, shares: dict[int, coding.Buffer], sink: Sink) -> None:
        primary = coding.decode(shares, self.manifest.needed, self.manifest.total)
        cipher = self._cipher(index, geometry)
        for span in geometry.spans(range(geometry.chunks)):
            sealed = memoryview(primary[span.share])[span.start : span.end]
            _open_span(cipher, geometry, span, sealed, sink)

    # --- ranges ---------------------------------------------------------------------------------------------------

    async def read(self, start: int, length: int) -> bytes:
        """`length` bytes from `start`, fewer only at the file's end; fetches no more than the chunks they lie in."""
        end = min(start + length, self.manifest.size)
        parts: list[Coroutine[Any, Any, bytes]] = []
        per = self.manifest.segment_bytes
        for index in range(start // per, -(-end // per) if start < end else start // per):
            base = index * per
            parts.append(self._read_segment(index, max(start, base) - base, min(end, base + per) - base))
        return b"".join(await asyncio.gather(*parts))

    async def _read_segment(self, index: int, start: int, end: int) -> bytes:
        geometry = self.manifest.geometry(index)
        chunks = geometry.chunks_of(start, end)
        first = geometry.plain_span(chunks.start)[0]
        plain = bytearray(geometry.plain_span(chunks.stop - 1)[1] - first)
        cipher = self._cipher(index, geometry)

        def keep(at: int, part: memoryview) -> None:
            low, high = max(at, first), min(at + len(part), first + len(plain))
            if low < high:
                plain[low - first : high - first] = part[low - at : high - at]

        try:
            spans = list(geometry.spans(chunks))
            for span, data in zip(spans, await asyncio.gather(*(self._span(index, s) for s in spans)), strict=True):
                await asyncio.to_thread(_open_span, cipher, geometry, span, memoryview(data), keep)
        except (crypto.Tampered, UserFacingError) as error:
            log.info("a range is read again from whole pieces: %s", error)
            await self._open_segment(index, keep)
        return bytes(memoryview(plain)[start - first : end - first])

    async def _span(self, index: int, span: ShareSpan) -> coding.Buffer:
        """A range of one share: from its holder, or decoded from the same range of others."""
        owner, where = self._holder(index, span.share), (span.start, span.end)
        if self._health.rank(owner) == GOOD:
            try:
                async with asyncio.timeout(self._health.patience_s(span.end - span.start)):
                    return await self._share(index, span.share, where)
            except TimeoutError:
                self._health.failed(owner)
            except UserFacingError:
                pass
        async with self._gathering(index, where, avoid=span.share) as gathering:
            shares = await gathering.enough()
        primary = coding.decode(shares, self.manifest.needed, self.manifest.total)
        return primary[span.share if self.manifest.needed > 1 else 0]

    # --- one share ------------------------------------------------------------------------------------------------

    def _holder(self, index: int, share: int) -> str:
        return self.manifest.owners[self.manifest.segments[index].holders[share]]

    def _gathering(self, index: int, span: tuple[int, int], avoid: int | None = None) -> Gathering[int, coding.Buffer]:
        """Asks for a span of the shares: honest and reliable holders first, then the segment's own bytes first."""
        shares = [at for at in range(self.manifest.total) if at != avoid]
        return Gathering(
            sorted(shares, key=lambda at: (*self._health.rank(self._holder(index, at)), at)),
            self.manifest.needed,
            lambda at: self._share(index, at, span),
            lambda at: self._health.failed(self._holder(index, at)),
            self._health.patience_s(span[1] - span[0]),
        )

    async def _share(self, index: int, share: int, span: tuple[int, int]) -> coding.Buffer:
        """Bytes of one share from the provider that holds it; not verified yet.

        Raises:
            UserFacingError: the provider is out of reach, or refuses.
        """
        owner, began = self._holder(index, share), time.monotonic()
        size = self.manifest.geometry(index).share
        ahead = range(index, min(index + AHEAD, len(self.manifest.segments)))
        expect = sum(self.manifest.geometry(at).share for at in ahead)
        try:
            client = await _client(self._tools, owner)
            root = self.manifest.segments[index].roots[share]
            wanted = expect if span == (0, size) else span[1] - span[0]
            data = await _read(client, root, span, size, wanted, self.arrived)
        except UserFacingError:
            self._health.failed(owner)
            raise
        self._health.served(owner, len(data), time.monotonic() - began)
        return data


async def _client(tools: Tools, owner: str) -> ProviderClient:
    """The provider's client, with its terms even while it sells nothing new."""
    await tools.market.wait_for([owner], 1, OFFERS_TIMEOUT_S)
    offer = tools.market.offers().get(owner)
    if offer is None:
        raise UserFacingError(
            f"The provider {owner} cannot be found just now.", "Try again later.", code="provider-gone", status=503
        )
    terms = offer.storage
    if terms is None:
        try:
            async with tools.market.session(offer).get("/storage/terms") as response:
                terms = StorageOffer.model_validate_json(await response.read())
        except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError) as error:
            raise as_user_error(ConnectionError(str(error)), offer.node_id) from error
    return tools.client(Seller(offer, terms))


async def _read(
    client: ProviderClient,
    root: bytes,
    span: tuple[int, int],
    size: int,
    expect: int,
    arrived: Callable[[int], None] = lambda _: None,
) -> bytearray:
    """The bytes of a span of a piece."""
    response = await client.get(root, span, size, expect)
    data = bytearray(span[1] - span[0])
    view, at = memoryview(data), 0
    try:
        async with response:
            async for part in response.content.iter_any():
                view[at : at + len(part)] = part
                at += len(part)
                arrived(len(part))
    except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError) as error:
        cause = error if isinstance(error, aiohttp.ClientError | TimeoutError) else ConnectionError(str(error))
        raise as_user_error(cause, client.seller.node.node_id) from error
    if at != len(data):
        raise as_user_error(ConnectionError("the body was cut off"), client.seller.node.node_id)
    return data


def _open_span(
    cipher: crypto.SegmentCipher, geometry: Geometry, span: ShareSpan, sealed: memoryview, sink: Sink
) -> None:
    """Decrypts the chunks of one span and gives them on, some at a time."""
    base, scratch = geometry.sealed_offset(span.chunks.start), memoryview(bytearray(CHUNKS_AT_ONCE * geometry.chunk))
    for chunks in geometry.groups(span.chunks, CHUNKS_AT_ONCE):
        low, high = geometry.plain_span(chunks.start)[0], geometry.plain_span(chunks.stop - 1)[1]
        for chunk in chunks:
            start, end = geometry.plain_span(chunk)
            at = geometry.sealed_offset(chunk) - base
            cipher.decrypt(chunk, sealed[at : at + end - start + geometry.tag], scratch[start - low : end - low])
        sink(low, scratch[: high - low])


class _Placer:
    """Writes parts of a file in any order, from any thread."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._alone = threading.Lock()

    def write_at(self, offset: int, part: memoryview) -> None:
        with self._alone:
            self._file.seek(offset)
            while len(part):
                part = part[self._file.write(part) :]
