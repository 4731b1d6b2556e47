"""What a provider offers, and the signed envelope in which the hub carries it."""

from __future__ import annotations

import json

from pydantic import BaseModel, ConfigDict

from depin_desktop.api.models import Money
from depin_desktop.net.signing import Account, canonical_json, recover_json, sign_json

BUCKET = "offers"
MAX_OFFER_BYTES = 4096
CLOCK_SKEW_S = 60.0


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


class Rejected(Exception):
    """An offer that must not be believed; `reason` is one word for logs and counters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def seal_envelope(offer: NodeOffer, operator: Account) -> bytes:
    """The offer with its operator's personal signature over its canonical JSON."""
    said = offer.model_dump(mode="json")
    return canonical_json({"offer": said, "signature": sign_json(operator, said)})


def open_envelope(envelope: bytes, *, chain_id: int, now: float) -> NodeOffer:
    """The offer inside, checked as far as that needs no registry.

    Raises:
        Rejected: "oversize", "malformed", "other-chain", "expired", "from-the-future" or "bad-signature".
    """
    if len(envelope) > MAX_OFFER_BYTES:
        raise Rejected("oversize")
    try:
        content = json.loads(envelope)
        said, signature = content["offer"], content["signature"]
        offer = NodeOffer.model_validate(said)
    except (ValueError, KeyError, TypeError) as error:
        raise Rejected("malformed") from error
    if offer.chain_id != chain_id:
        raise Rejected("other-chain")
    if offer.expires_at <= now:
        raise Rejected("expired")
    if offer.issued_at > now + CLOCK_SKEW_S:
        raise Rejected("from-the-future")
    # What is signed is what was said, also by a newer version that says more than this one knows.
    if recover_json(said, signature) != offer.operator:
        raise Rejected("bad-signature")
    return offer
