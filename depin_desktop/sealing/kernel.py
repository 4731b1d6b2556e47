"""A SHA-256 kernel for many small messages: LLVM IR that uses the x86 SHA extensions, two messages interleaved.

One message leaves the SHA unit idle half of the time (each round waits for the one before); two fill it. The padding
block of a message of known length is constant, so its schedule is computed here once. All constants are read from a
table that the caller passes: the machine code then refers to nothing outside itself and can be moved between processes.
Instructions: Intel, "SHA Extensions", 2013; FIPS 180-4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from depin_desktop.sealing.merkle import HASH, LEAF, SPAN, SPAN_LEAVES, SPAN_LEVELS

MASK = 0xFFFFFFFF
BLOCK = 64
V4 = "<4 x i32>"
V16 = "<16 x i8>"


def _primes() -> Iterator[int]:
    found: list[int] = []
    for candidate in count(2):
        if all(candidate % prime for prime in found):
            found.append(candidate)
            yield candidate


def _fraction_of_root(value: int, degree: int) -> int:
    """The first 32 bits of the fraction of the square or cube root of `value`, by integer search."""
    target, low, high = value << (32 * degree), 0, value << 32
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= target else (low, middle - 1)
    return low & MASK


_first_primes = [prime for prime, _ in zip(_primes(), range(64), strict=False)]
K = [_fraction_of_root(prime, 3) for prime in _first_primes]
"""The round constants of FIPS 180-4 §4.2.2."""
H = [_fraction_of_root(prime, 2) for prime in _first_primes[:8]]
"""The initial hash value of FIPS 180-4 §5.3.3."""


def _rotate(value: int, by: int) -> int:
    return (value >> by | value << (32 - by)) & MASK


def padding_schedule(message_bytes: int) -> list[int]:
    """W[t] + K[t] of the padding block that follows a message of whole blocks."""
    words = [0x80000000, *[0] * 14, message_bytes * 8]
    for at in range(16, 64):
        s0 = _rotate(words[at - 15], 7) ^ _rotate(words[at - 15], 18) ^ words[at - 15] >> 3
        s1 = _rotate(words[at - 2], 17) ^ _rotate(words[at - 2], 19) ^ words[at - 2] >> 10
        words.append((words[at - 16] + s0 + words[at - 7] + s1) & MASK)
    return [(word + constant) & MASK for word, constant in zip(words, K, strict=True)]


def table() -> bytes:
    """The constants that the kernel reads: little-endian words at the offsets below."""
    words = [*K, *padding_schedule(LEAF), *padding_schedule(2 * HASH)]
    words += [H[5], H[4], H[1], H[0], H[7], H[6], H[3], H[2]]
    swap = bytes(lane + 3 - at for lane in range(0, 16, 4) for at in range(4))
    return b"".join(word.to_bytes(4, "little") for word in words) + swap


K_AT, LEAF_PADDING_AT, PAIR_PADDING_AT, ABEF_AT, CDGH_AT, SWAP_AT = 0, 256, 512, 768, 784, 800


def _lanes(*lanes: int) -> str:
    return V4 + " <" + ", ".join(f"i32 {lane}" for lane in lanes) + ">"


class _Lines:
    """Lines of IR, and names for their results."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self._names = count()

    def let(self, expression: str) -> str:
        name = f"%v{next(self._names)}"
        self.text.append(f"  {name} = {expression}")
        return name

    def do(self, instruction: str) -> None:
        self.text.append(f"  {instruction}")

    def constant(self, offset: int) -> str:
        """Four words of the table."""
        return self.let(f"load {V4}, ptr {self.let(f'getelementptr i8, ptr %table, i64 {offset}')}, align 1")

    def swap(self, words: str) -> str:
        """The words with their bytes reversed; `llvm.bswap` would put its mask outside of the code."""
        mask = self.let(f"bitcast {V4} {self.constant(SWAP_AT)} to {V16}")
        octets = self.let(f"bitcast {V4} {words} to {V16}")
        swapped = self.let(f"call {V16} @llvm.x86.ssse3.pshuf.b.128({V16} {octets}, {V16} {mask})")
        return self.let(f"bitcast {V16} {swapped} to {V4}")


@dataclass
class _Message:
    """One of the interleaved messages: where it is, its state as the SHA unit keeps it, its schedule window."""

    source: str
    abef: str
    cdgh: str
    window: list[str]


def _load_block(ir: _Lines, message: _Message, block: int) -> None:
    message.window = []
    for part in range(4):
        at = ir.let(f"getelementptr i8, ptr {message.source}, i64 {block * BLOCK + part * 16}")
        raw = ir.let(f"load {V4}, ptr {at}, align 1")
        message.window.append(ir.swap(raw))


def _next_words(ir: _Lines, message: _Message) -> None:
    """W[t..t+3] from the sixteen words before them; the window moves on by four."""
    w0, w1, w2, w3 = message.window
    partial = ir.let(f"call {V4} @llvm.x86.sha256msg1({V4} {w0}, {V4} {w1})")
    seven_back = ir.let(f"shufflevector {V4} {w2}, {V4} {w3}, {_lanes(1, 2, 3, 4)}")
    partial = ir.let(f"add {V4} {partial}, {seven_back}")
    message.window = [w1, w2, w3, ir.let(f"call {V4} @llvm.x86.sha256msg2({V4} {partial}, {V4} {w3})")]


def _four_rounds(ir: _Lines, message: _Message, words: str) -> None:
    call = f"call {V4} @llvm.x86.sha256rnds2"
    message.cdgh = ir.let(f"{call}({V4} {message.cdgh}, {V4} {message.abef}, {V4} {words})")
    upper = ir.let(f"shufflevector {V4} {words}, {V4} {words}, {_lanes(2, 3, 2, 3)}")
    message.abef = ir.let(f"{call}({V4} {message.abef}, {V4} {message.cdgh}, {V4} {upper})")


def _compress(ir: _Lines, messages: list[_Message], block: int | None, padding_at: int) -> None:
    """Takes one block into every message's state; None is the constant padding block."""
    before = [(message.abef, message.cdgh) for message in messages]
    if block is not None:
        for message in messages:
            _load_block(ir, message, block)
    for group in range(16):
        for message in messages:
            if block is None:
                words = ir.constant(padding_at + group * 16)
            else:
                if group >= 4:
                    _next_words(ir, message)
                current = message.window[group if group < 4 else 3]
                words = ir.let(f"add {V4} {current}, {ir.constant(K_AT + group * 16)}")
            _four_rounds(ir, message, words)
    for message, (abef, cdgh) in zip(messages, before, strict=True):
        message.abef = ir.let(f"add {V4} {message.abef}, {abef}")
        message.cdgh = ir.let(f"add {V4} {message.cdgh}, {cdgh}")


def _store_digest(ir: _Lines, message: _Message, target: str) -> None:
    for offset, lanes in ((0, _lanes(3, 2, 7, 6)), (16, _lanes(1, 0, 5, 4))):
        words = ir.let(f"shufflevector {V4} {message.abef}, {V4} {message.cdgh}, {lanes}")
        at = ir.let(f"getelementptr i8, ptr {target}, i64 {offset}")
        ir.do(f"store {V4} {ir.swap(words)}, ptr {at}, align 1")


def _many(name: str, message_bytes: int, padding_at: int) -> str:
    """`name(in, n, out, table)`: hashes n messages of `message_bytes`; `out` may be `in`, as reading stays ahead."""
    ir = _Lines()
    messages = []
    for index in ("%i", "%j"):
        offset = ir.let(f"mul i64 {index}, {message_bytes}")
        source = ir.let(f"getelementptr i8, ptr %in, i64 {offset}")
        messages.append(_Message(source, ir.constant(ABEF_AT), ir.constant(CDGH_AT), []))
    for block in range(message_bytes // BLOCK):
        _compress(ir, messages, block, padding_at)
    _compress(ir, messages, None, padding_at)
    for message, index in zip(messages, ("%i", "%j"), strict=True):
        offset = ir.let(f"mul i64 {index}, {HASH}")
        _store_digest(ir, message, ir.let(f"getelementptr i8, ptr %out, i64 {offset}"))
    body = "\n".join(ir.text)
    # With an odd count the last message is hashed twice: cheaper than a second body for one.
    return f"""
define internal void @{name}(ptr %in, i64 %n, ptr %out, ptr %table) noinline {{
entry:
  %last = sub i64 %n, 1
  %none = icmp eq i64 %n, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %beside = add i64 %i, 1
  %j = call i64 @llvm.umin.i64(i64 %beside, i64 %last)
{body}
  %next = add i64 %i, 2
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}"""


def _spans() -> str:
    """`spans(in, n, out, table, scratch)`: the root over each of n × 64 KiB; scratch holds a span's leaf hashes."""
    folds = "\n".join(
        f"  call void @pairs(ptr %scratch, i64 {SPAN_LEAVES >> level}, "
        f"ptr {'%scratch' if level < SPAN_LEVELS else '%to'}, ptr %table)"
        for level in range(1, SPAN_LEVELS + 1)
    )
    return f"""
define internal void @spans(ptr %in, i64 %n, ptr %out, ptr %table, ptr %scratch) noinline {{
entry:
  %none = icmp eq i64 %n, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %start = mul i64 %i, {SPAN}
  %from = getelementptr i8, ptr %in, i64 %start
  %end = mul i64 %i, {HASH}
  %to = getelementptr i8, ptr %out, i64 %end
  call void @leaves(ptr %from, i64 {SPAN_LEAVES}, ptr %scratch, ptr %table)
{folds}
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}"""


LEAVES, PAIRS, SPANS = range(3)
"""What `run` is asked to do."""


def module() -> str:
    """The LLVM IR for x86 processors with SHA extensions; `run(what, in, n, out, table, scratch)` comes first."""
    return "\n".join(
        [
            f"declare {V4} @llvm.x86.sha256rnds2({V4}, {V4}, {V4})",
            f"declare {V4} @llvm.x86.sha256msg1({V4}, {V4})",
            f"declare {V4} @llvm.x86.sha256msg2({V4}, {V4})",
            f"declare {V16} @llvm.x86.ssse3.pshuf.b.128({V16}, {V16})",
            "declare i64 @llvm.umin.i64(i64, i64)",
            f"""
define void @run(i64 %what, ptr %in, i64 %n, ptr %out, ptr %table, ptr %scratch) {{
  switch i64 %what, label %leaves [i64 {PAIRS}, label %pairs i64 {SPANS}, label %spans]
leaves:
  call void @leaves(ptr %in, i64 %n, ptr %out, ptr %table)
  ret void
pairs:
  call void @pairs(ptr %in, i64 %n, ptr %out, ptr %table)
  ret void
spans:
  call void @spans(ptr %in, i64 %n, ptr %out, ptr %table, ptr %scratch)
  ret void
}}""",
            _many("leaves", LEAF, LEAF_PADDING_AT),
            _many("pairs", 2 * HASH, PAIR_PADDING_AT),
            _spans(),
        ]
    )
