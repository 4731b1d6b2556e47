"""Seals pieces: SHA-256 Merkle trees over 256-byte leaves, exactly as the StorageDeals contract verifies them.

Knows bytes and hashes only: no files, no chain, no peers. The fast kernel is compiled on first use, never on import.
"""

from depin_desktop.sealing.merkle import LEAF, SPAN, depth, leaf_count, verify_leaf
from depin_desktop.sealing.sealer import Seal, Sealer, prove_leaf, seal

__all__ = ["LEAF", "SPAN", "Seal", "Sealer", "depth", "leaf_count", "prove_leaf", "seal", "verify_leaf"]
