"""Which compiled contract stands behind which field of `Addresses`."""

from __future__ import annotations

CONTRACTS = {
    "token": "DepinToken",
    "registry": "ProviderRegistry",
    "settlement": "BatchSettlement",
    "deals": "StorageDeals",
}
COLLECTOR = "ERC3009DepositCollector"
MULTICALL3 = "Multicall3"
INTERFACES = (*CONTRACTS.values(), COLLECTOR)
