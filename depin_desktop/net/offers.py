"""What a provider offers, and the signed envelope in which the hub carries it."""

from __future__ import annotations

import json
import re

from eth_utils.address import to_checksum_address
from pydantic import BaseModel, ConfigDict

from depin_desktop.api.models import Money
from depin_desktop.net.signing import Account, canonical_json, recover_json, sign_json

BUCKET = "offers"
MAX_OFFER_BYTES = 4096
CLOCK_SKEW_S = 60.0
MAX_LIFETIME_S = 3600.0

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_NODE_ID = re.compile(r"[0-9a-f]{64}")


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


class ModelOffer(BaseModel):
    """One model that is loaded or ready to be, with what it was measured at and what it costs.

    Attributes:
        kind: "chat", "completion", "embedding" or "onnx".
        engine: name and exact build.
        slots: how many jobs it runs at once.
        rate: tokens (ONNX: runs) a second, measured.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    name: str
    sha256: str
    engine: str
    slots: int = 1
    context_tokens: int = 0
    rate: float = 0.0
    price_in_per_mtoken: Money = 0
    price_out_per_mtoken: Money = 0
    price_per_run_second: Money = 0


class WasmOffer(BaseModel):
    """Terms of WASM jobs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    engine: str
    slots: int = 1
    rate: float = 0.0
    price_per_gfuel: Money = 0
    price_per_second: Money = 0
    max_memory_bytes: int = 0
    max_seconds: float = 0.0


class ComputeOffer(ServiceOffer):
    """Terms of computing."""

    models: tuple[ModelOffer, ...] = ()
    wasm: WasmOffer | None = None


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
    compute: ComputeOffer | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is for sale: a provider that withdraws says so."""
        return self.storage is None and self.compute is None

    def emptied(self, issued_at: float) -> NodeOffer:
        """The newer offer that withdraws this one."""
        return self.model_copy(update={"issued_at": issued_at, "storage": None, "compute": None})


class Rejected(Exception):
    """An offer that must not be believed; `reason` is one word for logs and counters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def key_of(owner: str) -> str:
    """The key under which an owner's offer lies in the hub's bucket."""
    return owner.lower()


def seal_envelope(offer: NodeOffer, operator: Account) -> bytes:
    """The offer with its operator's personal signature over its canonical JSON."""
    said = offer.model_dump(mode="json")
    return canonical_json({"offer": said, "signature": sign_json(operator, said)})


def open_envelope(envelope: bytes, *, chain_id: int, now: float) -> NodeOffer:
    """The offer inside, checked as far as that needs no registry.

    Raises:
        Rejected: "oversize", "malformed", "other-chain", "expired", "from-the-future", "too-long" or "bad-signature".
    """
    if len(envelope) > MAX_OFFER_BYTES:
        raise Rejected("oversize")
    try:
        content = json.loads(envelope)
        said, signature = content["offer"], content["signature"]
        offer = NodeOffer.model_validate(said)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Rejected("malformed") from error
    well_formed = all(_ADDRESS.fullmatch(it) for it in (offer.owner, offer.operator, offer.payout))
    # One spelling of each owner, or one provider could show as many.
    if not well_formed or not _NODE_ID.fullmatch(offer.node_id) or to_checksum_address(offer.owner) != offer.owner:
        raise Rejected("malformed")
    if offer.chain_id != chain_id:
        raise Rejected("other-chain")
    if not offer.expires_at > now:
        raise Rejected("expired")
    if not offer.issued_at <= now + CLOCK_SKEW_S:
        raise Rejected("from-the-future")
    # Whoever copied an offer can show it again until it expires; that has to be soon.
    if not offer.expires_at - offer.issued_at <= MAX_LIFETIME_S:
        raise Rejected("too-long")
    # What is signed is what was said, also by a newer version that says more than this one knows.
    signer = recover_json(said, signature)
    if signer is None or signer.lower() != offer.operator.lower():
        raise Rejected("bad-signature")
    return offer
