"""What can be asked for now: every backend's models, each with its queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from depin_desktop.core.backoff import Backoff
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
    """Where a job can be done; `wish` is 0 for the model that was asked for, then counts those that do as well."""

    backend: Backend
    model: ServedModel
    lane: Lane
    wish: int = 0

    @property
    def key(self) -> tuple[int, str]:
        """Stands for a model at a backend; chat and completion are one."""
        return _key(self.backend, self.model)


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
        self._backoff = Backoff()

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
        """The place for an order that is likely to be free first, among those that have not just failed.

        Raises:
            UserFacingError: nothing here does that ("unknown-model").
        """
        places = self._places(order)
        if not places:
            what = "WASM jobs" if order.kind is WorkKind.WASM else f"“{order.model}” for {order.kind.value}"
            raise UserFacingError(
                f"This provider does not serve {what} now.",
                "Ask GET /compute/v1/models for what it serves.",
                code="unknown-model",
                status=404,
            )
        return places[0]

    def find_another(self, order: Order, but: Sequence[Place]) -> Place | None:
        """A place for an order after those failed, which does it as well as the first of them would have done.

        It holds as long a text, and where it serves the very same model it runs the engine that is on offer.
        """
        first, tried = but[0].model, {place.key for place in but}

        def does(model: ServedModel) -> bool:
            if model.sha256 == first.sha256:
                return model.engine == first.engine
            return not model.context_tokens or model.context_tokens >= first.context_tokens

        return next((at for at in self._places(order) if at.key not in tried and does(at.model)), None)

    def failed(self, place: Place) -> None:
        """Leaves a place alone for a while, for longer each time, as long as there are others."""
        self._backoff.failed(place.key)

    def succeeded(self, place: Place) -> None:
        """Takes a place for sound again."""
        self._backoff.succeeded(place.key)

    def _places(self, order: Order) -> list[Place]:
        """Where an order can be done, the best first."""
        found = [
            (backend, model, wish)
            for backend in self._backends
            for model, wish in _matching(order, [one for one in backend.served() if self._wanted(one.kind)])
        ]
        engines = policy.of_one_engine([model for _, model, _ in found])
        places = [Place(at, model, self._lane(at, model), wish) for at, model, wish in found if model in engines]

        def rank(at: Place) -> tuple[bool, int, float, float]:
            load = (at.lane.running + len(at.lane)) / max(1, at.model.slots)
            return self._backoff.wait_s(at.key) > 0, at.wish, load, -at.model.rate

        return sorted(places, key=rank)

    def _lane(self, backend: Backend, model: ServedModel) -> Lane:
        """Chat and completion share a model's slots."""
        key = _key(backend, model)

        def slots() -> int:
            return max((one.slots for one in backend.served() if _key(backend, one) == key), default=1)

        return self._lanes.setdefault(key, Lane(slots, self._waiters))


def _key(backend: Backend, model: ServedModel) -> tuple[int, str]:
    return id(backend), model.sha256 or model.kind.value


def _matching(order: Order, models: Sequence[ServedModel]) -> list[tuple[ServedModel, int]]:
    """The models of one backend that can do an order: the one asked for, and those that are named to do as well."""
    if order.kind is WorkKind.WASM:
        return [(model, 0) for model in models if model.kind is WorkKind.WASM][:1]
    kinds = policy.TEXT if order.kind in policy.TEXT else frozenset({order.kind})
    able = [model for model in models if model.kind in kinds]
    exact = [model for model in able if model.kind is order.kind] or able
    found: dict[str, tuple[ServedModel, int]] = {}
    for wish, name in enumerate((order.model, *order.alternatives)):
        for model in _named(name.lower(), exact):
            found.setdefault(model.sha256, (model, wish))
    return list(found.values())


def _named(name: str, models: Sequence[ServedModel]) -> list[ServedModel]:
    """The model meant by a hash, by its first digits, or by a name; any where none is named."""
    if not name:
        return list(models[:1])
    named = [model for model in models if name in (model.sha256, model.name.lower())]
    if not named and len(name) >= ENOUGH_DIGITS:
        named = [model for model in models if model.sha256.startswith(name)]
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
