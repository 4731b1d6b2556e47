"""What a provider offers, and the signed envelope in which the hub carries it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from depin_desktop.api.models import Money


class ServiceOffer(BaseModel):
    """What one service sells now; each service subclasses it with its own terms."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer provider may say more than we know


class StorageOffer(ServiceOffer):
    """Terms of storage: prices in base units, sizes in bytes."""

    free_bytes: int
    max_piece_bytes: int
    price_per_leaf_period: Money
    price_per_gib_read: Money
    min_term_s: int = 0


class NodeOffer(BaseModel):
    """One provider's whole offer. `owner` identifies the provider in the registry; the operator signs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    owner: str
    operator: str
    payout: str
    node_id: str
    addresses: tuple[str, ...]
    relay_url: str | None = None
    chain_id: int
    issued_at: float
    expires_at: float
    storage: StorageOffer | None = None
