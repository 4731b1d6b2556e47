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
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer import coding, crypto
from depin_desktop.customer.buffers import Buffers
from depin_desktop.customer.gathering import Gathering, lost
from depin_desktop.customer.health import GOOD, Health
from depin_desktop.customer.layout import MAX_CHUNK_BYTES, SEGMENT_BYTES, Geometry, ShareSpan, share_bytes
from depin_desktop.customer.lines import NEXT_BYTES, Lines
from depin_desktop.customer.locator import Locator
from depin_desktop.customer.manifest import Manifest
from depin_desktop.customer.reading import Feed, client_of, read_span
from depin_desktop.customer.streaming import SegmentStream, Sink
from depin_desktop.customer.tools import Progress, Tools
from depin_desktop.sealing import seal

log = logging.getLogger(__name__)

WINDOW = 2
AHEAD = 64
"""A deposit covers so many segments at once; one for a whole very large file would tie up too much."""
RANGES_AHEAD = 16
"""The first range read of a file has a deposit made for so many like it, as any first request has."""
SPARE = 16
"""One part in so many is deposited on top: prices are rounded up, and a transfer that breaks off goes on in another."""
MAX_MANIFEST_BYTES = 1 << 26
CHUNKS_AT_ONCE = 4

Answer = TypeVar("Answer")


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


def bytes_ahead(needed: int, size: int | None, length: int | None) -> int:
    """Bytes that the provider of a file's manifest will be asked for next: one deposit should cover them, too.

    Args:
        size: the file's, None when it is not known; then nothing is known of what a whole get takes.
        length: of the range that is about to be read; None for all of the file.
    """
    whole = None if size is None else share_bytes(min(size, AHEAD * SEGMENT_BYTES), needed)[1]
    if length is None:
        expected = whole or 0
    else:
        ranges = RANGES_AHEAD * (length + MAX_CHUNK_BYTES) if length else 0
        expected = ranges if whole is None else min(ranges, whole)
    return expected + expected // SPARE


class StoredPieces:
    """The pieces of one stored file, wherever they are.

    Make one with `open`, which fetches the manifest.
    """

    def __init__(self, tools: Tools, health: Health, locator: Locator, manifest: Manifest) -> None:
        self._tools = tools
        self._health = health
        self._locator = locator
        self.manifest = manifest
        self._buffers = Buffers()
        self._lines = Lines()
        self.arrived: Callable[[int], None] = lambda _: None

    @classmethod
    async def open(cls, tools: Tools, health: Health, locator: Locator, ahead: int = 0) -> StoredPieces:
        """Fetches and opens the manifest.

        Args:
            ahead: bytes that will be read from its provider after it, as by `bytes_ahead`.

        Raises:
            UserFacingError: no provider that holds it answers, or the locator is not its file's.
        """
        if locator.size > MAX_MANIFEST_BYTES:
            raise lost("Its manifest is too long to be one.")

        async def fetch(owner: str) -> bytearray:
            try:
                data, whole = bytearray(), (0, locator.size)
                client = await client_of(tools, owner)

                async def feed(part: bytes) -> None:
                    data.extend(part)

                await read_span(client, locator.root, whole, locator.size, locator.size + ahead, feed)
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
            self._buffers.clear()
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
        if geometry.needed == 1:
            try:
                async with self._gathering(index, span, lambda at: self._stream(index, at, sink)) as streams:
                    await streams.enough()
                    return
            except crypto.Tampered:
                log.info("segment %d does not verify; it is fetched whole to see who is to blame", index)
        async with self._gathering(index, span, lambda at: self._share(index, at, span)) as gathering:
            while True:
                shares = await gathering.enough()
                try:
                    await asyncio.to_thread(self._decrypt, index, geometry, shares, sink)
                    for data in shares.values():
                        self._buffers.give(memoryview(data))
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
        found = await asyncio.gather(*parts)
        self._buffers.clear()
        return b"".join(found)

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
        async with self._gathering(index, where, lambda at: self._share(index, at, where), span.share) as gathering:
            shares = await gathering.enough()
        primary = coding.decode(shares, self.manifest.needed, self.manifest.total)
        return primary[span.share if self.manifest.needed > 1 else 0]

    # --- one share ------------------------------------------------------------------------------------------------

    def _holder(self, index: int, share: int) -> str:
        return self.manifest.owners[self.manifest.segments[index].holders[share]]

    def _gathering(
        self,
        index: int,
        span: tuple[int, int],
        ask: Callable[[int], Coroutine[Any, Any, Answer]],
        avoid: int | None = None,
    ) -> Gathering[int, Answer]:
        """Asks for a span of the shares: honest and reliable holders first, then the segment's own bytes first."""
        shares = [at for at in range(self.manifest.total) if at != avoid]
        return Gathering(
            sorted(shares, key=lambda at: (*self._health.rank(self._holder(index, at)), at)),
            self.manifest.needed,
            ask,
            lambda at: self._health.failed(self._holder(index, at)),
            self._health.patience_s(span[1] - span[0]),
        )

    async def _stream(self, index: int, share: int, sink: Sink) -> None:
        """Decrypts a segment of 1 of n as it arrives; a transfer that breaks after some chunks goes on from there."""
        geometry = self.manifest.geometry(index)
        stream = SegmentStream(self._cipher(index, geometry), geometry, sink, self._buffers)
        while stream.chunk < geometry.chunks:
            before = stream.chunk
            try:
                await self._transfer(index, share, (stream.offset, geometry.share), stream.feed)
            except UserFacingError as error:
                if stream.chunk == before:
                    raise
                log.info("a transfer broke and goes on: %s", error)
                stream.restart()
        await stream.finish()

    async def _share(self, index: int, share: int, span: tuple[int, int]) -> coding.Buffer:
        """Bytes of one share from the provider that holds it; not verified yet."""
        data, at = self._buffers.take(span[1] - span[0]), 0

        async def feed(part: bytes) -> None:
            nonlocal at
            data[at : at + len(part)] = part
            at += len(part)

        await self._transfer(index, share, span, feed)
        return data

    async def _transfer(self, index: int, share: int, span: tuple[int, int], feed: Feed) -> None:
        """Reads a span of one share from the provider that holds it, when it is this one's turn.

        Raises:
            UserFacingError: the provider is out of reach, refuses, or breaks off.
        """
        owner, size = self._holder(index, share), self.manifest.geometry(index).share
        ahead = range(index, min(index + AHEAD, len(self.manifest.segments)))
        expect = sum(self.manifest.geometry(at).share for at in ahead) if span == (0, size) else span[1] - span[0]
        try:
            client = await client_of(self._tools, owner)
            async with self._lines.turn(owner) as turn:
                began, left = time.monotonic(), span[1] - span[0]

                async def arrived(part: bytes) -> None:
                    nonlocal left
                    left -= len(part)
                    self.arrived(len(part))
                    if left <= NEXT_BYTES:
                        turn.over()
                    await feed(part)

                await read_span(client, self.manifest.segments[index].roots[share], span, size, expect, arrived)
        except UserFacingError:
            self._health.failed(owner)
            raise
        self._health.served(owner, span[1] - span[0], time.monotonic() - began)


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
