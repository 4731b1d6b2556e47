"""Puts together the snapshot that the Compute page shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from depin_desktop.api.compute import ComputeStatus, JobStatus, ModelImport, ModelStatus
from depin_desktop.api.models import ServiceStatus
from depin_desktop.services.compute import policy
from depin_desktop.services.compute.choices import Choices
from depin_desktop.services.compute.runtimes.base import ServedModel, WorkKind
from depin_desktop.services.compute.store import Books

JOBS_SHOWN = 100


@dataclass(frozen=True)
class Shelf:
    """The models on this machine's disk, whether or not they are served.

    Attributes:
        models: prices and rates are filled in from what is served.
        imports: files on their way in.
        bytes: of all models together.
    """

    models: tuple[ModelStatus, ...] = ()
    imports: tuple[ModelImport, ...] = ()
    bytes: int = 0


@dataclass(frozen=True)
class Now:
    """What is true now, and in no row.

    Attributes:
        jobs: those that are not over.
        checked: answers that customers have found right, and wrong.
    """

    service: ServiceStatus
    running: int
    waiting: int
    jobs: tuple[JobStatus, ...]
    checked: tuple[int, int]


def compute_status(
    choices: Choices, served: Iterable[ServedModel], shelf: Shelf, books: Books, now: Now
) -> ComputeStatus:
    """Everything the Compute page shows."""
    right, wrong = now.checked
    return ComputeStatus(
        service=now.service,
        shared=choices.shared,
        models=_models(choices.prices, tuple(served), shelf),
        jobs=(*now.jobs, *books.jobs)[:JOBS_SHOWN],
        running=now.running,
        waiting=now.waiting,
        done_total=books.done_total,
        devices=books.devices,
        models_bytes=shelf.bytes,
        imports=shelf.imports,
        checked_right=right,
        checked_wrong=wrong,
    )


def _models(prices: policy.Prices, served: tuple[ServedModel, ...], shelf: Shelf) -> tuple[ModelStatus, ...]:
    """What is served, with what the shelf knows of it; then what lies on the shelf and is not served."""
    known = {model.sha256: model for model in shelf.models}
    named = {(model.sha256, model.kind.value) for model in served}
    texts = {model.sha256 for model in served if model.kind is WorkKind.CHAT}
    shown = [
        _served(model, prices, known.get(model.sha256))
        for model in served
        if not (model.kind is WorkKind.COMPLETION and model.sha256 in texts)
    ]
    served_files = {sha256 for sha256, _ in named}
    return (*shown, *(model for model in shelf.models if model.sha256 not in served_files))


def _served(model: ServedModel, prices: policy.Prices, known: ModelStatus | None) -> ModelStatus:
    wasm = model.kind is WorkKind.WASM
    offer = policy.model_offer(model, prices)
    return ModelStatus(
        kind=model.kind.value,
        name=model.name,
        sha256=model.sha256,
        engine=model.engine,
        licence=model.licence or (known.licence if known else ""),
        size_bytes=known.size_bytes if known else 0,
        loaded=known.loaded if known else True,
        served=model.rate > 0,
        device=policy.device_of(model),
        slots=model.slots,
        context_tokens=model.context_tokens,
        rate=model.rate,
        price_in_per_mtoken=0 if wasm else offer.price_in_per_mtoken,
        price_out_per_mtoken=offer.price_out_per_mtoken,
        price_per_run_second=prices.price_per_run_second if wasm else offer.price_per_run_second,
        price_per_gfuel=prices.price_per_gfuel if wasm else 0,
    )
