"""What the compute service decides, without any I/O: prices, room in the queue, states, and what a job is charged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from depin_desktop.api.compute import CPU, JobOutcome
from depin_desktop.api.models import ServiceState
from depin_desktop.core.units import format_age
from depin_desktop.net import metering
from depin_desktop.net.offers import ComputeOffer, ModelOffer, WasmOffer
from depin_desktop.net.signing import canonical_json
from depin_desktop.services.compute.runtimes.base import ServedModel, Usage, WorkKind

MAX_BODY_BYTES = 8 << 20
MAX_MODULE_BYTES = 16 << 20
ONNX_SECONDS = 60.0
WASM_SECONDS = 60.0
WASM_MEMORY_BYTES = 512 << 20
WAITING_PER_CUSTOMER = 8
WAITING_IN_ALL = 128
LONGEST_WAIT_S = 45.0
"""Customers give a silent answer up after 60 s; a turn that would come later is no use to them."""
PAY_WITHIN_S = 15.0
"""A stream waits so long for its next voucher."""
ASK_AHEAD_TOKENS = 128
"""So many tokens before its paid slice ends a stream asks for the next voucher, so that it need not stop for it."""
OFFER_BYTES = 2600
"""Of the 4096 of a whole offer; the node and the other services need the rest."""
LATELY_S = 3600.0

TEXT = frozenset({WorkKind.CHAT, WorkKind.COMPLETION})


# --- prices -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prices:
    """What the owner asks, in base units. A WASM job pays for its fuel and, as it may sleep, for its seconds too."""

    price_in_per_mtoken: int
    price_out_per_mtoken: int
    price_per_run_second: int
    price_per_gfuel: int

    def changed(self, wished: Mapping[str, int | None]) -> Prices:
        """These with what is not None in `wished`."""
        names = [field.name for field in fields(self)]
        return Prices(**{name: _either(wished.get(name), getattr(self, name)) for name in names})


def _either(wished: int | None, before: int) -> int:
    return before if wished is None else wished


def cost(kind: WorkKind, usage: Usage, prices: Prices) -> int:
    """Base units for what a job took; at least 1."""
    if kind in TEXT:
        tokens = usage.prompt_tokens, usage.completion_tokens
        return metering.tokens_cost(*tokens, prices.price_in_per_mtoken, prices.price_out_per_mtoken)
    if kind is WorkKind.EMBEDDING:
        return metering.tokens_cost(usage.prompt_tokens, 0, prices.price_in_per_mtoken, 0)
    if kind is WorkKind.ONNX:
        return metering.seconds_cost(usage.seconds, prices.price_per_run_second)
    return metering.wasm_cost(usage.fuel, usage.seconds, prices.price_per_gfuel, prices.price_per_run_second)


def ceiling(kind: WorkKind, body: Mapping[str, Any], prices: Prices, context_tokens: int) -> int:
    """Base units that a job is held for when it begins; customers count the same (`net.metering`)."""
    if kind is WorkKind.ONNX:
        return metering.seconds_cost(ONNX_SECONDS, prices.price_per_run_second)
    if kind is WorkKind.WASM:
        fuel, seconds = int(body["fuel"]), float(body["seconds"])
        return metering.wasm_cost(fuel, seconds, prices.price_per_gfuel, prices.price_per_run_second)
    output = kind in TEXT
    return metering.tokens_ceiling(
        body,
        prices.price_in_per_mtoken,
        prices.price_out_per_mtoken if output else 0,
        output=output,
        context_tokens=context_tokens if output else 0,
    )


_LIMITS = frozenset({"fuel", "time-limit", "memory-limit", "output-limit"})
_LIMITED = frozenset({WorkKind.ONNX, WorkKind.WASM})
"""Whose limits are the customer's own, or told before; what ends a text early is the provider's affair."""


def charge(
    outcome: JobOutcome, kind: WorkKind, usage: Usage, prices: Prices, *, delivered: bool, failure: str = ""
) -> int:
    """Base units to charge for a job that has ended.

    Who leaves pays for what was done until then, delivered or not. Work that failed through no fault of the customer
    costs nothing; limits that the customer set are the customer's.

    Args:
        usage: what it took until then, as far as that is known.
        delivered: whether the customer was sent anything of the answer.
        failure: the code of `JobFailed`.
    """
    if usage == Usage():
        return 0
    due = cost(kind, usage, prices)
    if outcome is JobOutcome.FAILED:
        return due if (failure in _LIMITS and kind in _LIMITED) or (delivered and kind in TEXT) else 0
    if outcome is JobOutcome.STOPPED:
        return due if delivered else 0
    return due


def tokens_paid_for(ceiling: int, prompt_tokens: int, prices: Prices) -> int | None:
    """Output tokens that a ceiling covers once the prompt's true length is known; None where output costs nothing."""
    if prices.price_out_per_mtoken == 0:
        return None
    left = ceiling * metering.MILLION - prompt_tokens * prices.price_in_per_mtoken
    return max(0, left // prices.price_out_per_mtoken)


def next_slice(paid: int, limit: int, prices: Prices) -> int:
    """Base units of the further voucher for a stream that is paid up to `paid` of at most `limit` output tokens."""
    tokens = max(1, min(metering.SLICE_TOKENS, limit - paid))
    return metering.tokens_cost(0, tokens, 0, prices.price_out_per_mtoken)


# --- the queue ----------------------------------------------------------------------------------------------------


def retry_after_s(waiting: int, slots: int, mean_s: float) -> int:
    """Whole seconds until a place should be free, from the mean time of the last jobs; between 1 and 120."""
    return max(1, min(120, math.ceil(mean_s * (waiting + 1) / max(1, slots))))


def admitted(waiting: int, waiting_of_customer: int, slots: int, mean_s: float) -> bool:
    """Whether another job may wait: bounded in number for all and for each, and by how long its turn would take."""
    if waiting >= WAITING_IN_ALL or waiting_of_customer >= WAITING_PER_CUSTOMER:
        return False
    return waiting == 0 or mean_s * waiting / max(1, slots) <= LONGEST_WAIT_S


def device_of(model: ServedModel) -> str:
    """What a model runs on, as jobs and earnings name it."""
    return model.elsewhere or model.gpu or CPU


# --- what is offered ----------------------------------------------------------------------------------------------


def wanted(kind: WorkKind, *, chat: bool, embeddings: bool, onnx: bool, wasm: bool) -> bool:
    """Whether the owner sells this kind of work."""
    return {WorkKind.EMBEDDING: embeddings, WorkKind.ONNX: onnx, WorkKind.WASM: wasm}.get(kind, chat)


def offer_of(models: Iterable[ServedModel], prices: Prices, *, limit: int = OFFER_BYTES) -> ComputeOffer | None:
    """What to put on the hub: measured models only, the most useful first, as many as `limit` bytes of JSON hold.

    A model that chats is named once, although it completes too. None where there is nothing.
    """
    measured = merged(model for model in models if model.rate > 0 and model.slots > 0)
    wasm = next((wasm_offer(model, prices) for model in measured if model.kind is WorkKind.WASM), None)
    chosen: list[ModelOffer] = []
    offer = ComputeOffer(wasm=wasm)
    for model in sorted(_texts_once(measured), key=_usefulness):
        larger = ComputeOffer(models=(*chosen, model_offer(model, prices)), wasm=wasm)
        if len(canonical_json(larger.model_dump(mode="json"))) <= limit:
            chosen, offer = list(larger.models), larger
    return offer if offer.models or offer.wasm else None


def of_one_engine(models: Sequence[ServedModel]) -> list[ServedModel]:
    """Without those that another engine serves faster: trust goes by engine, so a model must have one at a time."""
    best: dict[tuple[str, str], ServedModel] = {}
    for model in models:
        known = best.get(_identity(model))
        if known is None or model.rate > known.rate:
            best[_identity(model)] = model
    return [model for model in models if model.engine == best[_identity(model)].engine]


def merged(models: Iterable[ServedModel]) -> list[ServedModel]:
    """Each model once, with the slots of all machines that serve it with the same engine."""
    found: dict[tuple[str, str], ServedModel] = {}
    for model in of_one_engine(list(models)):
        known = found.get(_identity(model))
        if known is not None:
            more = known.slots + model.slots
            model = replace(model if model.rate > known.rate else known, slots=more)
        found[_identity(model)] = model
    return list(found.values())


def _identity(model: ServedModel) -> tuple[str, str]:
    return model.kind.value, model.sha256


def _texts_once(models: Sequence[ServedModel]) -> list[ServedModel]:
    chats = {model.sha256 for model in models if model.kind is WorkKind.CHAT}
    return [
        model
        for model in models
        if model.kind is not WorkKind.WASM and not (model.kind is WorkKind.COMPLETION and model.sha256 in chats)
    ]


def _usefulness(model: ServedModel) -> tuple[int, float, str]:
    """Kinds that many ask for first; among them what was measured to be fastest."""
    order = (WorkKind.CHAT, WorkKind.EMBEDDING, WorkKind.COMPLETION, WorkKind.ONNX)
    return order.index(model.kind), -model.rate, model.sha256


def model_offer(model: ServedModel, prices: Prices) -> ModelOffer:
    """One model's terms; only the prices that its kind of work is charged by."""
    text, tokens = model.kind in TEXT, model.kind is not WorkKind.ONNX
    return ModelOffer(
        kind=model.kind.value,
        name=model.name,
        sha256=model.sha256,
        engine=model.engine,
        slots=model.slots,
        context_tokens=model.context_tokens,
        rate=round(model.rate, 1),
        price_in_per_mtoken=prices.price_in_per_mtoken if tokens else 0,
        price_out_per_mtoken=prices.price_out_per_mtoken if text else 0,
        price_per_run_second=0 if tokens else prices.price_per_run_second,
    )


def wasm_offer(model: ServedModel, prices: Prices) -> WasmOffer:
    """The terms of WASM jobs."""
    return WasmOffer(
        engine=model.engine,
        slots=model.slots,
        rate=round(model.rate),
        price_per_gfuel=prices.price_per_gfuel,
        price_per_second=prices.price_per_run_second,
        max_memory_bytes=WASM_MEMORY_BYTES,
        max_seconds=WASM_SECONDS,
    )


# --- the whole service --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ServiceFacts:
    """What the one sentence about the service is made of; times in Unix seconds."""

    shared: bool
    draining: bool
    paused: str  # the reason of the owner's controls; empty while work may run
    connected: bool
    served: int
    loading: bool
    problem: str
    running: int
    last_job_at: float | None
    now: float


def service_state(facts: ServiceFacts) -> tuple[ServiceState, str]:
    """The state and its one reason, in order of urgency."""
    if not facts.shared:
        return ServiceState.OFF, "Computing power is not shared yet."
    if facts.draining:
        return ServiceState.PAUSED, "Finishing what runs; nothing new is taken."
    if facts.paused:
        return ServiceState.PAUSED, facts.paused
    if facts.problem and not facts.served:
        return ServiceState.FAULT, facts.problem
    if not facts.served:
        if facts.loading:
            return ServiceState.STARTING, "Models are being measured; they are offered as soon as that is done."
        return ServiceState.ATTENTION, "There is no model to offer. Import one."
    if not facts.connected:
        return ServiceState.ATTENTION, "The chain is not connected; work is sold as soon as it is."
    if facts.problem:
        return ServiceState.ATTENTION, facts.problem
    if facts.running:
        return ServiceState.EARNING, f"Working on {facts.running} job{'' if facts.running == 1 else 's'}."
    if facts.last_job_at is not None and facts.now - facts.last_job_at < LATELY_S:
        return ServiceState.EARNING, f"The last job ended {format_age(facts.now - facts.last_job_at)}."
    return ServiceState.IDLE, "Offered; nobody has asked for anything lately."
