"""SHA-256 kernels for many small messages: LLVM IR with the processor's SHA instructions, two messages interleaved.

One message leaves the SHA unit idle half of the time (each round waits for the one before); two fill it. The padding
block of a message of known length is constant, so its schedule is computed here once. All constants are read from a
table that the caller passes: the machine code then refers to nothing outside itself and can be moved between processes.
Instructions: Intel, "SHA Extensions", 2013; Arm, "ARMv8-A cryptographic extension" (SHA2); FIPS 180-4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from depin_desktop.sealing.entry import entry
from depin_desktop.sealing.merkle import HASH, LEAF

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
    words += [H[5], H[4], H[1], H[0], H[7], H[6], H[3], H[2], *H]
    swap = bytes(lane + 3 - at for lane in range(0, 16, 4) for at in range(4))
    return b"".join(word.to_bytes(4, "little") for word in words) + swap


K_AT, LEAF_PADDING_AT, PAIR_PADDING_AT, ABEF_AT, CDGH_AT, ABCD_AT, EFGH_AT, SWAP_AT = (
    0,
    256,
    512,
    768,
    784,
    800,
    816,
    832,
)


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


@dataclass
class _Message:
    """One of the interleaved messages: where it is, its state in two halves as the SHA unit keeps it, its window."""

    source: str
    first: str
    second: str
    window: list[str]


class Instructions(Protocol):
    """What a processor's SHA unit does, as IR."""

    name: str
    feature: str  # of LLVM's names: what the processor must have
    declarations: tuple[str, ...]
    state_at: tuple[int, int]  # the two halves of the initial state, in the table

    def swap(self, ir: _Lines, words: str) -> str:
        """The words with their bytes reversed."""

    def next_words(self, ir: _Lines, message: _Message) -> None:
        """W[t..t+3] from the sixteen words before them; the window moves on by four."""

    def four_rounds(self, ir: _Lines, message: _Message, words: str) -> None:
        """Four rounds with W + K in `words`."""

    def digest(self, ir: _Lines, message: _Message) -> tuple[str, str]:
        """The state's words in their order, four and four."""


class IntelSha:
    """x86 SHA extensions: the state is kept as ABEF and CDGH."""

    name = "x86 SHA extensions"
    feature = "sha"
    state_at = ABEF_AT, CDGH_AT
    declarations: tuple[str, ...] = (
        f"declare {V4} @llvm.x86.sha256rnds2({V4}, {V4}, {V4})",
        f"declare {V4} @llvm.x86.sha256msg1({V4}, {V4})",
        f"declare {V4} @llvm.x86.sha256msg2({V4}, {V4})",
        f"declare {V16} @llvm.x86.ssse3.pshuf.b.128({V16}, {V16})",
    )

    def swap(self, ir: _Lines, words: str) -> str:
        """See `Instructions.swap`; `llvm.bswap` would put its mask outside of the code."""
        mask = ir.let(f"bitcast {V4} {ir.constant(SWAP_AT)} to {V16}")
        octets = ir.let(f"bitcast {V4} {words} to {V16}")
        swapped = ir.let(f"call {V16} @llvm.x86.ssse3.pshuf.b.128({V16} {octets}, {V16} {mask})")
        return ir.let(f"bitcast {V16} {swapped} to {V4}")

    def next_words(self, ir: _Lines, message: _Message) -> None:
        """See `Instructions.next_words`."""
        w0, w1, w2, w3 = message.window
        partial = ir.let(f"call {V4} @llvm.x86.sha256msg1({V4} {w0}, {V4} {w1})")
        seven_back = ir.let(f"shufflevector {V4} {w2}, {V4} {w3}, {_lanes(1, 2, 3, 4)}")
        partial = ir.let(f"add {V4} {partial}, {seven_back}")
        message.window = [w1, w2, w3, ir.let(f"call {V4} @llvm.x86.sha256msg2({V4} {partial}, {V4} {w3})")]

    def four_rounds(self, ir: _Lines, message: _Message, words: str) -> None:
        """See `Instructions.four_rounds`."""
        call = f"call {V4} @llvm.x86.sha256rnds2"
        message.second = ir.let(f"{call}({V4} {message.second}, {V4} {message.first}, {V4} {words})")
        upper = ir.let(f"shufflevector {V4} {words}, {V4} {words}, {_lanes(2, 3, 2, 3)}")
        message.first = ir.let(f"{call}({V4} {message.first}, {V4} {message.second}, {V4} {upper})")

    def digest(self, ir: _Lines, message: _Message) -> tuple[str, str]:
        """See `Instructions.digest`."""
        halves = f"shufflevector {V4} {message.first}, {V4} {message.second}"
        return ir.let(f"{halves}, {_lanes(3, 2, 7, 6)}"), ir.let(f"{halves}, {_lanes(1, 0, 5, 4)}")


class ArmSha:
    """Arm's SHA2 instructions: the state is kept as ABCD and EFGH."""

    name = "Arm SHA2 instructions"
    feature = "sha2"
    state_at = ABCD_AT, EFGH_AT
    declarations: tuple[str, ...] = (
        *(f"declare {V4} @llvm.aarch64.crypto.sha256{name}({V4}, {V4}, {V4})" for name in ("h", "h2", "su1")),
        f"declare {V4} @llvm.aarch64.crypto.sha256su0({V4}, {V4})",
        f"declare {V4} @llvm.bswap.v4i32({V4})",
    )

    def swap(self, ir: _Lines, words: str) -> str:
        """See `Instructions.swap`: one instruction, with no mask."""
        return ir.let(f"call {V4} @llvm.bswap.v4i32({V4} {words})")

    def next_words(self, ir: _Lines, message: _Message) -> None:
        """See `Instructions.next_words`."""
        w0, w1, w2, w3 = message.window
        partial = ir.let(f"call {V4} @llvm.aarch64.crypto.sha256su0({V4} {w0}, {V4} {w1})")
        new = ir.let(f"call {V4} @llvm.aarch64.crypto.sha256su1({V4} {partial}, {V4} {w2}, {V4} {w3})")
        message.window = [w1, w2, w3, new]

    def four_rounds(self, ir: _Lines, message: _Message, words: str) -> None:
        """See `Instructions.four_rounds`."""
        call = f"call {V4} @llvm.aarch64.crypto.sha256"
        first, second = message.first, message.second
        message.first = ir.let(f"{call}h({V4} {first}, {V4} {second}, {V4} {words})")
        message.second = ir.let(f"{call}h2({V4} {second}, {V4} {first}, {V4} {words})")

    def digest(self, ir: _Lines, message: _Message) -> tuple[str, str]:
        """See `Instructions.digest`."""
        return message.first, message.second


def _load_block(ir: _Lines, cpu: Instructions, message: _Message, block: int) -> None:
    message.window = []
    for part in range(4):
        at = ir.let(f"getelementptr i8, ptr {message.source}, i64 {block * BLOCK + part * 16}")
        raw = ir.let(f"load {V4}, ptr {at}, align 1")
        message.window.append(cpu.swap(ir, raw))


def _compress(ir: _Lines, cpu: Instructions, messages: list[_Message], block: int | None, padding_at: int) -> None:
    """Takes one block into every message's state; None is the constant padding block."""
    before = [(message.first, message.second) for message in messages]
    if block is not None:
        for message in messages:
            _load_block(ir, cpu, message, block)
    for group in range(16):
        for message in messages:
            if block is None:
                words = ir.constant(padding_at + group * 16)
            else:
                if group >= 4:
                    cpu.next_words(ir, message)
                current = message.window[group if group < 4 else 3]
                words = ir.let(f"add {V4} {current}, {ir.constant(K_AT + group * 16)}")
            cpu.four_rounds(ir, message, words)
    for message, (first, second) in zip(messages, before, strict=True):
        message.first = ir.let(f"add {V4} {message.first}, {first}")
        message.second = ir.let(f"add {V4} {message.second}, {second}")


def _store_digest(ir: _Lines, cpu: Instructions, message: _Message, target: str) -> None:
    for offset, words in zip((0, 16), cpu.digest(ir, message), strict=True):
        at = ir.let(f"getelementptr i8, ptr {target}, i64 {offset}")
        ir.do(f"store {V4} {cpu.swap(ir, words)}, ptr {at}, align 1")


def _many(cpu: Instructions, name: str, message_bytes: int, padding_at: int) -> str:
    """`name(in, n, out, table)`: hashes n messages of `message_bytes`; `out` may be `in`, as reading stays ahead."""
    ir = _Lines()
    messages = []
    for index in ("%i", "%j"):
        offset = ir.let(f"mul i64 {index}, {message_bytes}")
        source = ir.let(f"getelementptr i8, ptr %in, i64 {offset}")
        first, second = (ir.constant(at) for at in cpu.state_at)
        messages.append(_Message(source, first, second, []))
    for block in range(message_bytes // BLOCK):
        _compress(ir, cpu, messages, block, padding_at)
    _compress(ir, cpu, messages, None, padding_at)
    for message, index in zip(messages, ("%i", "%j"), strict=True):
        offset = ir.let(f"mul i64 {index}, {HASH}")
        _store_digest(ir, cpu, message, ir.let(f"getelementptr i8, ptr %out, i64 {offset}"))
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


def module(cpu: Instructions) -> str:
    """The LLVM IR for a processor with these instructions."""
    functions = [
        _many(cpu, "leaves", LEAF, LEAF_PADDING_AT),
        _many(cpu, "pairs", 2 * HASH, PAIR_PADDING_AT),
    ]
    return entry([*cpu.declarations, "declare i64 @llvm.umin.i64(i64, i64)"], functions)
