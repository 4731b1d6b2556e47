"""Seals pieces: SHA-256 Merkle trees over 256-byte leaves, exactly as the StorageDeals contract verifies them.

Knows bytes and hashes only: no files, no chain, no peers. The fast kernel is compiled on first use, never on import.
"""

from depin_desktop.sealing.merkle import LEAF, SPAN, depth, leaf_count, verify_leaves
from depin_desktop.sealing.sealer import Seal, Sealer, prove_leaves, seal

__all__ = ["LEAF", "SPAN", "Seal", "Sealer", "depth", "leaf_count", "prove_leaves", "seal", "verify_leaves"]
