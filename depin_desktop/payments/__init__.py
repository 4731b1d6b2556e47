"""Pay per use: x402 vouchers and channels, both sides, and when to claim.

A customer deposits once into a channel and signs a growing total with each request; the provider keeps the newest
voucher on disk before it serves and claims many in one transaction later. What is being paid for is not its business.
"""
