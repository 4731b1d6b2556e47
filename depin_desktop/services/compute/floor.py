"""What can be asked for now: every backend's models, each with its queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.compute import policy
from depin_desktop.services.compute.orders import Order
from depin_desktop.services.compute.queue import Lane, Waiters
from depin_desktop.services.compute.runtimes.base import Backend, ServedModel, WorkKind

log = logging.getLogger(__name__)

ENOUGH_DIGITS = 12
END_WITHIN_S = 3.0
Wanted = Callable[[WorkKind], bool]


@dataclass(frozen=True)
class Place:
    """Where a job can be done."""

    backend: Backend
    model: ServedModel
    lane: Lane


class Floor:
    """All backends of this service.

    Args:
        wanted: whether the owner sells a kind of work.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._backends: tuple[Backend, ...] = ()
        self._waiters = Waiters()
        self._lanes: dict[tuple[int, str], Lane] = {}

    @property
    def backends(self) -> tuple[Backend, ...]:
        return self._backends

    @property
    def waiting(self) -> int:
        """Jobs in all queues."""
        return self._waiters.count

    async def use(self, backends: Sequence[Backend]) -> str:
        """Works with these from now on: starts the new ones, ends the ones left out; why some do not start, or ""."""
        before = self._backends
        gone = [backend for backend in before if not any(backend is other for other in backends)]
        self._backends = tuple(backend for backend in before if backend not in gone)
        await self.end(gone)
        started, problems = [], []
        for backend in backends:
            try:
                if not any(backend is other for other in before):
                    await backend.start()
                started.append(backend)
            except (UserFacingError, OSError) as error:
                log.warning("a backend did not start: %s", error)
                problems.append(str(error))
        self._backends = tuple(started)
        kept = {id(backend) for backend in started}
        self._lanes = {key: lane for key, lane in self._lanes.items() if key[0] in kept}
        return " ".join(problems)

    async def end(self, backends: Sequence[Backend]) -> None:
        """Stops backends, each with a deadline."""
        await _all((backend.stop() for backend in backends), "stop")

    async def release(self) -> None:
        """Ends whatever runs and frees memory everywhere."""
        await _all((backend.release() for backend in self._backends), "release")

    def served(self) -> list[ServedModel]:
        """What may be asked for now."""
        return [model for backend in self._backends for model in backend.served() if self._wanted(model.kind)]

    def find(self, order: Order) -> Place:
        """The place for an order that is likely to be free first.

        Raises:
            UserFacingError: nothing here does that ("unknown-model").
        """
        found = [
            (backend, model)
            for backend in self._backends
            for model in _matching(order, [one for one in backend.served() if self._wanted(one.kind)])
        ]
        engines = policy.of_one_engine([model for _, model in found])
        places = [Place(backend, model, self._lane(backend, model)) for backend, model in found if model in engines]
        if not places:
            what = "WASM jobs" if order.kind is WorkKind.WASM else f"“{order.model}” for {order.kind.value}"
            raise UserFacingError(
                f"This provider does not serve {what} now.",
                "Ask GET /compute/v1/models for what it serves.",
                code="unknown-model",
                status=404,
            )
        return min(places, key=lambda at: ((at.lane.running + len(at.lane)) / max(1, at.model.slots), -at.model.rate))

    def _lane(self, backend: Backend, model: ServedModel) -> Lane:
        """Chat and completion share a model's slots."""
        key = id(backend), model.sha256 or model.kind.value

        def slots() -> int:
            return max((one.slots for one in backend.served() if (one.sha256 or one.kind.value) == key[1]), default=1)

        return self._lanes.setdefault(key, Lane(slots, self._waiters))


def _matching(order: Order, models: Sequence[ServedModel]) -> list[ServedModel]:
    """Those that can do an order: by hash, by its first digits, or by name; any where none is named."""
    if order.kind is WorkKind.WASM:
        return [model for model in models if model.kind is WorkKind.WASM][:1]
    kinds = policy.TEXT if order.kind in policy.TEXT else frozenset({order.kind})
    wanted = order.model.lower()
    able = [model for model in models if model.kind in kinds]
    exact = [model for model in able if model.kind is order.kind] or able
    if not wanted:
        return exact[:1]
    named = [model for model in exact if wanted in (model.sha256, model.name.lower())]
    if not named and len(wanted) >= ENOUGH_DIGITS:
        named = [model for model in exact if model.sha256.startswith(wanted)]
    return named[:1]


async def _all(works: Iterable[Awaitable[None]], what: str) -> None:
    tasks = [asyncio.ensure_future(work) for work in works]
    if not tasks:
        return
    done, late = await asyncio.wait(tasks, timeout=END_WITHIN_S)
    for task in late:
        log.error("a backend did not %s within %.0f s", what, END_WITHIN_S)
        task.cancel()
    for task in done:
        if (error := task.exception()) is not None:
            log.error("a backend could not %s", what, exc_info=error)
