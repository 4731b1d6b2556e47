"""Who can do a piece of work, at what price, and whom to ask first: pure decisions over offers and standings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.compute.trust import Standing
from depin_desktop.net.offers import ModelOffer, NodeOffer, WasmOffer

CHAT, COMPLETION, EMBEDDING, ONNX, WASM = "chat", "completion", "embedding", "onnx", "wasm"
_TEXT = frozenset({CHAT, COMPLETION})
_ENOUGH_DIGITS = 12
MAX_STAND_INS = 8


class HostKey(NamedTuple):
    """What a standing belongs to: trust in one engine build says nothing of the next one."""

    owner: str
    kind: str
    model: str
    engine: str


@dataclass(frozen=True)
class Host:
    """One provider with one thing that it serves; `model` for everything but WASM, `wasm` for that.

    Attributes:
        stand_ins: what it serves under the same name elsewhere, and may use should this fail.
    """

    node: NodeOffer
    model: ModelOffer | None = None
    wasm: WasmOffer | None = None
    stand_ins: tuple[ModelOffer, ...] = ()

    @property
    def owner(self) -> str:
        return self.node.owner

    @property
    def key(self) -> HostKey:
        if self.model is not None:
            kind = CHAT if self.model.kind in _TEXT else str(self.model.kind)
            return HostKey(self.owner, kind, self.model.sha256, self.model.engine)
        assert self.wasm is not None
        return HostKey(self.owner, WASM, "", self.wasm.engine)

    @property
    def slots(self) -> int:
        terms = self.model or self.wasm
        return max(1, terms.slots) if terms is not None else 1

    @property
    def rate(self) -> float:
        """Tokens a second (ONNX: runs, WASM: fuel) that the offer says were measured."""
        terms = self.model or self.wasm
        return terms.rate if terms is not None else 0.0


def hosts_of(offers: Iterable[NodeOffer], kind: str, model: str = "") -> list[Host]:
    """Everyone who offers work of a kind with a model.

    Args:
        model: a name, a SHA-256 (at least its first 12 digits), or empty for any; unused for WASM.
    """
    found = []
    for node in offers:
        if node.compute is None:
            continue
        if kind == WASM:
            if node.compute.wasm is not None:
                found.append(Host(node, wasm=node.compute.wasm))
            continue
        for offered in node.compute.models:
            alike = offered.kind == kind or {str(offered.kind), kind} <= _TEXT
            if alike and _is_meant(offered, model):
                found.append(Host(node, model=offered))
    return _once_each(found)


def _once_each(hosts: list[Host]) -> list[Host]:
    """One entry a key: a model that is offered for chat and for completion is the same host."""
    return list({host.key: host for host in reversed(hosts)}.values())[::-1]


def _is_meant(offered: ModelOffer, model: str) -> bool:
    if not model or offered.name == model or offered.sha256 == model:
        return True
    return len(model) >= _ENOUGH_DIGITS and offered.sha256.startswith(model.lower())


def with_stand_ins(host: Host, hosts: Iterable[Host], model: str, price: Callable[[Host], int]) -> Host:
    """The same host with those others of its provider that may do the work in its place.

    Only for who asks by name: a hash means that model and no other. The machines of one provider are told apart by the
    hashes under which they serve a model, so that each is a host.

    Args:
        model: as it was asked for.
        price: the ceiling of the work at a host, in base units; the one that is signed must do for a stand-in, too.
    """
    if host.model is None or model not in ("", host.model.name):
        return host
    others = [
        other.model
        for other in hosts
        if other.owner == host.owner
        and other.model is not None
        and other.model.name == host.model.name
        and other.model.sha256 != host.model.sha256
        and price(other) <= price(host)
    ]
    return replace(host, stand_ins=tuple(others[:MAX_STAND_INS]))


@dataclass(frozen=True)
class Wish:
    """What a customer asks of whoever does the work.

    Attributes:
        max_price: base units that one request may be held for at most; None for no bound but the budget.
        min_rate: the least measured rate; 0 for any.
        owners: nobody else is asked, where there are any.
        avoid: owners that are not asked.
    """

    max_price: int | None = None
    min_rate: float = 0.0
    owners: frozenset[str] = frozenset()
    avoid: frozenset[str] = frozenset()

    def suits(self, host: Host, price: int) -> bool:
        """Whether this host may be asked at that ceiling."""
        return (
            (self.max_price is None or price <= self.max_price)
            and host.rate >= self.min_rate
            and (not self.owners or host.owner in self.owners)
            and host.owner not in self.avoid
        )


def in_order(
    hosts: Iterable[Host],
    price: Callable[[Host], int],
    standing: Callable[[HostKey], Standing],
    in_flight: Callable[[HostKey], int],
    now: float,
) -> list[Host]:
    """Whom to ask first: those with a free slot, then by price over score, then by rate.

    Dividing by the score makes a provider that fails every other job twice as dear as it says; whoever was caught
    with a wrong answer is left out for a while.

    Args:
        price: the ceiling of the work at a host, in base units.
        in_flight: how much of this customer's work a host has under way.
    """

    def rank(host: Host) -> tuple[bool, float, int, float, str]:
        seen = standing(host.key)
        busy = in_flight(host.key)
        dearness = price(host) / max(seen.score, 1e-6)
        # Two leading digits: among about equals the load spreads, and the faster comes first.
        return busy >= host.slots, float(f"{dearness:.1e}"), busy, -host.rate, host.owner

    return sorted((host for host in hosts if not standing(host.key).shunned(now)), key=rank)


def nobody(kind: str, model: str, offering: int, serving: int, suiting: int) -> UserFacingError:
    """Why no provider can be asked, in the order in which they fell away."""
    what = "WASM jobs" if kind == WASM else f"the model {model}" if model else f"a model for {kind}"
    if offering == 0:
        return UserFacingError(
            "No provider offers computing just now.",
            "Check that the hub can be reached, or try again later.",
            code="no-providers",
            status=503,
        )
    if serving == 0:
        return UserFacingError(
            f"None of the {offering} providers that offer computing serves {what}.",
            "See what is served: depin ai models",
            code="unknown-model",
            status=404,
        )
    if suiting == 0:
        return UserFacingError(
            f"None of the {serving} providers that serve {what} is as cheap or as fast as was asked for.",
            "Allow a higher price or a lower rate.",
            code="none-suits",
            status=503,
        )
    return UserFacingError(
        f"Every provider that serves {what} has lately failed or given wrong answers.",
        "Try again later.",
        code="none-left",
        status=503,
    )
