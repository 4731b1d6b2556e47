"""Pieces as Merkle trees over 256-byte leaves: roots, proofs and checks, at the speed of flat SHA-256."""
