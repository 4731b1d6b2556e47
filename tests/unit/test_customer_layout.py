"""Layout, encryption, coding and locators: what goes in comes out, from any range and any k shares."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer import coding, crypto
from depin_desktop.customer.buffers import Buffers
from depin_desktop.customer.layout import MAX_CHUNK_BYTES, TAG_BYTES, Geometry, segment_size, segments_of, share_bytes
from depin_desktop.customer.lines import Lines
from depin_desktop.customer.locator import Locator
from depin_desktop.customer.manifest import Manifest, Segment
from depin_desktop.customer.streaming import SegmentStream

SIZES = st.one_of(st.integers(1, 5000), st.integers(1, 3 * MAX_CHUNK_BYTES))
CODES = st.tuples(st.integers(1, 6), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(SIZES, st.integers(1, 20))
def test_chunks_cover_a_segment_and_never_cross_shares(size: int, needed: int) -> None:
    geometry = Geometry(size, needed)
    assert geometry.chunk <= MAX_CHUNK_BYTES
    assert geometry.share * needed >= geometry.sealed == size + TAG_BYTES * geometry.chunks
    covered = 0
    for span in geometry.spans(range(geometry.chunks)):
        assert 0 <= span.start < span.end <= geometry.share
        assert span.share * geometry.share + span.start == geometry.sealed_offset(span.chunks.start)
        covered += span.end - span.start
    assert covered == geometry.sealed


@given(st.integers(0, 10**6), st.integers(1000, 10**5))
def test_segments_cover_a_file(size: int, segment: int) -> None:
    sizes = [segment_size(size, index, segment) for index in range(segments_of(size, segment))]
    assert sum(sizes) == size
    for needed in (1, 3):
        shares = [Geometry(part, needed).share for part in sizes]
        assert share_bytes(size, needed, segment) == (max(shares, default=0), sum(shares))


def sealed_segment(size: int, needed: int, seed: int = 1) -> tuple[bytes, bytearray, crypto.SegmentCipher, Geometry]:
    plain, geometry = random.Random(seed).randbytes(size), Geometry(size, needed)
    cipher = crypto.SegmentCipher(b"k" * 32, b"i" * 16, 7, geometry)
    sealed = bytearray(geometry.share * needed)
    cipher.encrypt(range(geometry.chunks), plain, memoryview(sealed))
    return plain, sealed, cipher, geometry


@settings(max_examples=60, deadline=None)
@given(size=SIZES, code=CODES, data=st.data())
def test_any_k_of_n_shares_give_every_range_back(size: int, code: tuple[int, int], data: st.DataObject) -> None:
    needed, total = code
    plain, sealed, cipher, geometry = sealed_segment(size, needed)
    shares = coding.encode(sealed, geometry.share, needed, total)
    assert len(shares) == total
    chosen = data.draw(st.permutations(range(total)))[:needed]
    primary = coding.decode({at: bytes(shares[at]) for at in chosen}, needed, total)
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    got = bytearray()
    for span in geometry.spans(geometry.chunks_of(start, end)):
        for chunk in span.chunks:
            low, high = geometry.plain_span(chunk)
            at = geometry.sealed_offset(chunk) - span.share * geometry.share
            out = bytearray(high - low)
            cipher.decrypt(chunk, memoryview(primary[span.share])[at : at + high - low + TAG_BYTES], memoryview(out))
            got += out
    first = geometry.chunks_of(start, end).start * geometry.chunk
    assert bytes(got[start - first : end - first]) == plain[start:end]


@settings(max_examples=40, deadline=None)
@given(size=SIZES, data=st.data())
def test_a_stream_decrypts_parts_of_any_size_and_goes_on_after_a_break(size: int, data: st.DataObject) -> None:
    plain, sealed, cipher, geometry = sealed_segment(size, 1)
    out, breaks = bytearray(size), data.draw(st.lists(st.integers(1, geometry.sealed), max_size=3).map(sorted))
    part = data.draw(st.integers(max(1, geometry.sealed // 20), geometry.sealed))

    def sink(at: int, piece: memoryview) -> None:
        out[at : at + len(piece)] = piece

    async def run() -> None:
        stream = SegmentStream(cipher, geometry, sink, Buffers())
        for end in [*breaks, geometry.sealed]:
            stream.restart()
            start = stream.offset
            for at in range(start, end, part):
                await stream.feed(bytes(sealed[at : min(at + part, end)]))
        await stream.finish()
        assert stream.chunk == geometry.chunks

    asyncio.run(run())
    assert bytes(out) == plain


def test_a_stream_gives_nothing_on_that_does_not_verify() -> None:
    _, sealed, cipher, geometry = sealed_segment(3 * MAX_CHUNK_BYTES, 1)
    sealed[geometry.sealed_offset(1) + 5] ^= 1
    given_on: list[int] = []

    async def run() -> None:
        stream = SegmentStream(cipher, geometry, lambda at, part: given_on.append(at), Buffers())
        with pytest.raises(crypto.Tampered):
            await stream.feed(bytes(sealed))
        assert stream.chunk == 1

    asyncio.run(run())
    assert given_on == []


async def test_a_line_is_passed_on_once_and_in_order() -> None:
    lines, order = Lines(), list[str]()

    async def use(name: str, owner: str) -> None:
        async with lines.turn(owner) as turn:
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            turn.over()
            turn.over()
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    await asyncio.gather(use("a", "x"), use("b", "x"), use("c", "y"))
    assert order.index("a begins") < order.index("b begins") < order.index("b ends")
    assert order.index("c begins") < order.index("b begins")
    async with asyncio.timeout(1), lines.turn("x"):
        pass


def test_a_range_of_each_share_decodes_to_the_range_of_the_missing_one() -> None:
    _, sealed, _, geometry = sealed_segment(100_000, 3)
    shares = coding.encode(sealed, geometry.share, 3, 5)
    ranges = {at: bytes(shares[at])[500:900] for at in (0, 3, 4)}
    assert [bytes(part) for part in coding.decode(ranges, 3, 5)] == [bytes(shares[at])[500:900] for at in range(3)]


def test_one_of_one_copies_nothing() -> None:
    data = bytearray(b"x" * 1000)
    (share,) = coding.encode(data, 1000, 1, 1)
    assert isinstance(share, memoryview)
    assert share.obj is data
    copies = coding.encode(data, 1000, 1, 3)
    assert [bytes(copy) for copy in copies] == [bytes(data)] * 3


@pytest.mark.parametrize(("needed", "total"), [(0, 1), (2, 1), (1, 256), (-1, 3)])
def test_impossible_codes_are_refused(needed: int, total: int) -> None:
    with pytest.raises(UserFacingError):
        coding.check_code(needed, total)


@settings(max_examples=50, deadline=None)
@given(bit=st.integers(0, (1000 + TAG_BYTES) * 8 - 1))
def test_every_changed_bit_is_noticed(bit: int) -> None:
    _, sealed, cipher, _ = sealed_segment(1000, 1)
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(crypto.Tampered):
        cipher.decrypt(0, memoryview(sealed), memoryview(bytearray(1000)))


def test_a_chunk_verifies_only_at_its_own_place() -> None:
    geometry = Geometry(2 * MAX_CHUNK_BYTES, 1)
    plain = bytes(geometry.size)
    sealed = bytearray(geometry.sealed)
    crypto.SegmentCipher(b"k" * 32, b"i" * 16, 0, geometry).encrypt(range(geometry.chunks), plain, memoryview(sealed))
    first, out = memoryview(sealed)[: geometry.chunk + TAG_BYTES], memoryview(bytearray(geometry.chunk))
    strangers = (
        (crypto.SegmentCipher(b"k" * 32, b"i" * 16, 0, geometry), 1),
        (crypto.SegmentCipher(b"k" * 32, b"i" * 16, 1, geometry), 0),
        (crypto.SegmentCipher(b"k" * 32, b"j" * 16, 0, geometry), 0),
        (crypto.SegmentCipher(b"l" * 32, b"i" * 16, 0, geometry), 0),
        (crypto.SegmentCipher(b"k" * 32, b"i" * 16, 0, Geometry(geometry.size + 1, 1)), 0),
    )
    for cipher, chunk in strangers:
        with pytest.raises(crypto.Tampered):
            cipher.decrypt(chunk, first, out)
    crypto.SegmentCipher(b"k" * 32, b"i" * 16, 0, geometry).decrypt(0, first, out)


LOCATORS = st.builds(
    Locator,
    key=st.binary(min_size=32, max_size=32),
    root=st.binary(min_size=32, max_size=32),
    size=st.integers(0, 2**64 - 1),
    needed=st.integers(1, 255),
    total=st.integers(1, 255),
    owners=st.lists(
        st.sampled_from(["0x5FbDB2315678afecb367f032d93F642f64180aa3", "0x000000000000000000000000000000000000dEaD"]),
        min_size=1,
        max_size=5,
    ).map(tuple),
)


@given(LOCATORS)
def test_a_locator_is_one_word_and_reads_back_the_same(locator: Locator) -> None:
    text = str(locator)
    assert Locator.parse(f" {text}\n") == locator
    assert text == "".join(text.split())
    assert locator.key.hex() not in repr(locator)


@given(LOCATORS, st.data())
def test_a_damaged_locator_is_told_from_a_lost_file(locator: Locator, data: st.DataObject) -> None:
    text = str(locator)
    at = data.draw(st.integers(0, len(text) - 2))
    letter = data.draw(st.sampled_from("ABCabc019-_ é"))
    damaged = data.draw(st.sampled_from([text[:at], text[:at] + letter + text[at + 1 :], text + letter, letter + text]))
    if damaged.strip() != text:
        with pytest.raises(UserFacingError):
            Locator.parse(damaged)


def manifest() -> Manifest:
    segment = Segment(id=b"i" * 16, size=10, roots=(b"r" * 32, b"s" * 32), holders=(1, 0))
    return Manifest(
        name="größe.csv",
        size=10,
        needed=1,
        total=2,
        segment_bytes=32,
        created_at=1.5,
        expires_at=2.5,
        owners=("0xa", "0xb"),
        segments=(segment,),
    )


def test_a_manifest_hides_the_name_and_opens_only_with_its_key() -> None:
    piece = manifest().seal(b"k" * 32)
    assert Manifest.open(b"k" * 32, piece) == manifest()
    assert b"csv" not in piece
    for wrong in (piece[:-1], piece[1:], b"", b"\x01", piece[:20] + bytes([piece[20] ^ 1]) + piece[21:]):
        with pytest.raises(crypto.Tampered):
            Manifest.open(b"k" * 32, wrong)
    with pytest.raises(crypto.Tampered):
        Manifest.open(b"x" * 32, piece)
