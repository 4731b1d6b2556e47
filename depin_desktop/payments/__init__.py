"""Pay per use: x402 vouchers and channels, both sides, and when to claim."""
