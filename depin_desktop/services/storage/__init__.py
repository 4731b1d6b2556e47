"""Storage for others: folders, pieces, deals, proofs."""
