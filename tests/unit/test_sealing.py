"""Sealing: every path gives the tree that the contract verifies, for every shape of piece."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depin_desktop.sealing import LEAF, SPAN, Sealer, depth, leaf_count, native, prove_leaves, seal, verify_leaves
from depin_desktop.sealing.hashing import Hasher, PlainHasher, agrees, best_hasher

SIZES = [1, 255, 256, 257, 511, 512, 513, 3 * LEAF, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN, 3 * SPAN - 5, 5 * SPAN + 77]


def reference_tree(data: bytes) -> list[list[bytes]]:
    """All levels, written straight from the words of the interface: padded first, then folded."""
    leaves = [data[at : at + 256].ljust(256, b"\0") for at in range(0, len(data), 256)]
    level = [sha256(leaf).digest() for leaf in leaves]
    while len(level) & (len(level) - 1):
        level.append(bytes(32))
    levels = [level]
    while len(level) > 1:
        level = [sha256(level[at] + level[at + 1]).digest() for at in range(0, len(level), 2)]
        levels.append(level)
    return levels


def reference_verify(root: bytes, leaves: int, index: int, proof: bytes) -> bool:
    """The contract's loop: the depth follows from the leaf count, the side from the index's bits."""
    height = 0
    while 1 << height < leaves:
        height += 1
    if len(proof) != 256 + 32 * height or index >= leaves:
        return False
    node = sha256(proof[:256]).digest()
    for level in range(height):
        sibling = proof[256 + 32 * level : 288 + 32 * level]
        node = sha256(sibling + node).digest() if index >> level & 1 else sha256(node + sibling).digest()
    return node == root


def reader(data: bytes):
    return lambda offset, length: data[offset : offset + length]


def noise(size: int, seed: int = 0) -> bytes:
    return b"".join(sha256(f"{seed}/{at}".encode()).digest() for at in range(-(-size // 32)))[:size]


@cache
def openssl() -> Hasher:
    """The way for processors without SHA instructions, which any processor can go."""
    return native.NativeHasher(native.OPENSSL, native.compile_in_child(native.OPENSSL))


WAYS = {"hashlib": PlainHasher, "OpenSSL": openssl, "best": best_hasher}


@pytest.fixture(params=WAYS)
def hasher(request) -> Hasher:
    return WAYS[request.param]()


def test_the_kernel_runs_where_the_processor_has_sha_extensions():
    facts = Path("/proc/cpuinfo")
    if not facts.exists() or " sha_ni" not in facts.read_text():
        pytest.skip("no SHA extensions here")
    assert best_hasher().name == "x86 SHA extensions"


def test_all_ways_of_hashing_agree(hasher: Hasher):
    assert agrees(hasher)


def test_the_kernel_for_arm_compiles_and_refers_to_nothing_outside():
    program = """
import llvmlite.binding as llvm
from depin_desktop.sealing import native
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
(arm,) = (one for one in native.KERNELS if "aarch64" in one.machines)
target = llvm.Target.from_triple("aarch64-linux-gnu")
machine = target.create_target_machine(features="+sha2,+neon", opt=2, reloc="pic", codemodel="small")
code = native.machine_code(arm, machine)
words = [int.from_bytes(code[at:at + 4], "little") for at in range(0, len(code), 4)]
# SHA256H Qd, Qn, Vm.4S: two messages of 4 + 1 and of 1 + 1 blocks, sixteen groups of four rounds each.
assert sum(word & 0xFFE0FC00 == 0x5E004000 for word in words) == 2 * (5 + 2) * 16
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=Path(__file__).parents[2])


def test_a_hasher_that_errs_in_one_bit_is_noticed():
    class Wrong(PlainHasher):
        def pairs(self, level: bytes) -> bytes:
            good = bytearray(super().pairs(level))
            good[-1] ^= 1
            return bytes(good)

    assert agrees(PlainHasher())
    assert not agrees(Wrong())


@pytest.mark.parametrize("size", SIZES)
def test_root_equals_the_reference(hasher: Hasher, size: int):
    data = noise(size)
    sealer = Sealer(hasher)
    sealer.update(data)
    sealed = sealer.finish()
    assert sealed.root == reference_tree(data)[-1][0]
    assert sealed.leaf_count == leaf_count(size) == -(-size // 256)
    assert sealed.layer == (b"" if size <= SPAN else b"".join(reference_tree(data)[8][: -(-size // SPAN)]))


def test_a_one_leaf_piece_has_its_leaf_hash_as_root():
    assert seal(b"x").root == sha256(b"x".ljust(256, b"\0")).digest()


def test_an_empty_piece_cannot_be_sealed():
    with pytest.raises(ValueError, match="at least one leaf"):
        seal(b"")


@settings(deadline=None, max_examples=60)
@given(size=st.integers(1, 4 * SPAN), cuts=st.lists(st.integers(1, SPAN + 3), max_size=12), seed=st.integers(0, 9))
def test_streaming_in_any_chunks_gives_the_same_seal(size: int, cuts: list[int], seed: int):
    data = noise(size, seed)
    sealer, at = Sealer(), 0
    for cut in cuts:
        sealer.update(memoryview(data)[at : at + cut])
        at += cut
    sealer.update(bytearray(data[at:]))
    assert (sealer.finish().layer, sealer.size) == (seal(data).layer, size)
    assert sealer.finish().root == reference_tree(data)[-1][0]


@settings(deadline=None, max_examples=80)
@given(size=st.integers(1, 3 * SPAN + 300), pick=st.floats(0, 1, exclude_max=True), cached=st.booleans())
def test_every_leaf_proves_with_and_without_the_cached_layer(size: int, pick: float, cached: bool):
    data = noise(size)
    sealed = seal(data)
    index = int(pick * sealed.leaf_count)
    proof = prove_leaves(reader(data), sealed.leaf_count, [index], sealed.layer if cached else b"")
    assert len(proof) == 256 + 32 * depth(sealed.leaf_count)
    assert verify_leaves(sealed.root, sealed.leaf_count, [index], proof)
    assert reference_verify(sealed.root, sealed.leaf_count, index, proof)


@settings(deadline=None, max_examples=120)
@given(leaves=st.integers(1, 700), pick=st.floats(0, 1, exclude_max=True), data=st.data())
def test_a_single_flipped_bit_is_refused(leaves: int, pick: float, data: st.DataObject):
    piece = noise(leaves * LEAF - 3)
    sealed = seal(piece)
    index = int(pick * leaves)
    proof = bytearray(prove_leaves(reader(piece), leaves, [index], sealed.layer))
    bit = data.draw(st.integers(0, len(proof) * 8 - 1))
    proof[bit // 8] ^= 1 << bit % 8
    assert not verify_leaves(sealed.root, leaves, [index], bytes(proof))


def needed(levels: list[list[bytes]], opened: list[int]) -> int:
    """Siblings that the opened leaves need: on every level the nodes beside theirs that are not theirs."""
    nodes, count = set(opened), 0
    for _ in levels[:-1]:
        count += sum(node ^ 1 not in nodes for node in nodes)
        nodes = {node >> 1 for node in nodes}
    return count


@settings(deadline=None, max_examples=120)
@given(leaves=st.integers(1, 900), picks=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6))
def test_several_leaves_share_what_leads_to_the_root(leaves: int, picks: list[float]):
    piece = noise(leaves * LEAF - 7)
    sealed, levels = seal(piece), reference_tree(piece)
    opened = sorted({int(pick * leaves) for pick in picks})
    proof = prove_leaves(reader(piece), leaves, opened, sealed.layer)
    assert len(proof) == 256 * len(opened) + 32 * needed(levels, opened)
    assert verify_leaves(sealed.root, leaves, opened, proof)
    # With one leaf open the proof is the plain path; of several, the last leaf's way is whole above where they meet.
    assert proof.startswith(piece[256 * opened[0] : 256 * opened[0] + 249])
    for wrong in ([*opened, opened[-1]], [at + 1 for at in opened], opened[1:], opened[::-1] if opened[1:] else [-1]):
        assert not verify_leaves(sealed.root, leaves, wrong, proof)


def test_wrong_index_length_and_range_are_refused():
    piece = noise(5 * LEAF)
    sealed = seal(piece)
    proof = prove_leaves(reader(piece), 5, [3])
    assert verify_leaves(sealed.root, 5, [3], proof)
    assert not verify_leaves(sealed.root, 5, [2], proof)
    assert not verify_leaves(sealed.root, 5, [3], proof[:-1])
    assert not verify_leaves(sealed.root, 5, [3], proof + bytes(32))
    assert not verify_leaves(sealed.root, 5, [8], proof)
    for wrong in ([5], [], [-1, 2], [2, 2], [3, 1]):
        with pytest.raises(IndexError):
            prove_leaves(reader(piece), 5, wrong)


def test_a_proof_reads_one_span_of_the_piece():
    data = noise(4 * SPAN)
    sealed = seal(data)
    asked: list[tuple[int, int]] = []

    def read(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return data[offset : offset + length]

    prove_leaves(read, sealed.leaf_count, [700], sealed.layer)
    assert asked == [(2 * SPAN, SPAN)]


def test_threads_seal_side_by_side_correctly():
    pieces = [noise(20 * SPAN + 31 * n, n) for n in range(4)]
    roots: dict[int, bytes] = {}
    threads = [threading.Thread(target=lambda n=n: roots.update({n: seal(pieces[n]).root})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert roots == {n: reference_tree(pieces[n])[-1][0] for n in range(4)}


def test_importing_the_room_loads_no_compiler_and_sealing_loads_none_into_this_process():
    program = (
        "import sys, depin_desktop.sealing as s; assert 'llvmlite' not in sys.modules; "
        "s.seal(b'x'); assert 'llvmlite' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=Path(__file__).parents[2])
