"""Where a job is done: the model that was asked for, where it is likely to be free first and has not just failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.compute.floor import Floor, Place
from depin_desktop.services.compute.orders import Order
from depin_desktop.services.compute.runtimes.base import Chunk, Job, ServedModel, WorkKind

ONE, OTHER = "1" * 64, "2" * 64


@dataclass
class Machine:
    """The seam's other side: serves what it is told to."""

    models: tuple[ServedModel, ...]

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def release(self) -> None: ...

    def served(self) -> tuple[ServedModel, ...]:
        return self.models

    def run(self, job: Job) -> AsyncIterator[Chunk]:
        raise NotImplementedError


def machine(sha256: str = ONE, *, name: str = "model", engine: str = "e 1", rate: float = 10.0, context: int = 2048,
            kind: WorkKind = WorkKind.CHAT) -> Machine:  # fmt: skip
    return Machine((ServedModel(kind, name, sha256, engine, context_tokens=context, rate=rate),))


async def floor_of(*machines: Machine) -> Floor:
    floor = Floor(lambda _: True)
    assert await floor.use(machines) == ""
    return floor


def order(model: str, *others: str, kind: WorkKind = WorkKind.CHAT) -> Order:
    return Order(kind, model, {}, b"", "", "", alternatives=others)


def another(floor: Floor, asked: Order, *failed: Place) -> Machine | None:
    found = floor.find_another(asked, failed)
    assert found is None or isinstance(found.backend, Machine)
    return found.backend if found else None


async def test_a_place_that_failed_is_left_alone_as_long_as_there_is_another() -> None:
    fast, slow = machine(ONE, rate=20.0), machine(OTHER)
    floor = await floor_of(fast, slow)
    place = floor.find(order("model"))
    assert place.backend is fast
    floor.failed(place)
    assert floor.find(order("model")).backend is slow
    assert floor.find(order(ONE)).backend is fast  # who asks for it gets it: it may have recovered
    floor.succeeded(place)
    assert floor.find(order("model")).backend is fast


async def test_all_that_failed_are_asked_again_rather_than_none() -> None:
    floor = await floor_of(machine())
    floor.failed(floor.find(order("model")))
    assert floor.find(order("model"))


async def test_who_asks_by_name_gets_any_machine_of_that_name_and_each_once() -> None:
    machines = [machine(ONE, rate=20.0), machine(OTHER), machine("3" * 64, name="another")]
    floor = await floor_of(*machines)
    first = floor.find(order("Model"))
    assert another(floor, order("Model"), first) is machines[1]
    second = floor.find_another(order("Model"), [first])
    assert second is not None
    assert another(floor, order("Model"), first, second) is None


async def test_a_hash_means_that_model_and_those_that_the_customer_names_beside_it() -> None:
    machines = [machine(ONE), machine(OTHER, rate=20.0)]
    floor = await floor_of(*machines)
    assert another(floor, order(ONE), floor.find(order(ONE))) is None
    both = order(ONE, OTHER)
    assert floor.find(both).backend is machines[0]  # the one that was asked for, though the other is faster
    assert another(floor, both, floor.find(both)) is machines[1]
    floor.failed(floor.find(both))
    assert floor.find(both).backend is machines[1]
    await floor.use(machines[1:])
    assert floor.find(both).backend is machines[1]
    with pytest.raises(UserFacingError, match="does not serve"):
        floor.find(order(ONE))


async def test_the_same_model_goes_on_only_with_the_engine_that_is_offered() -> None:
    """A customer is told the engine beforehand, and takes no receipt of another one."""
    here, same, different = (
        machine(engine="o 1", rate=20.0), machine(engine="o 1", rate=1.0), machine(engine="o 2", rate=19.0)
    )  # fmt: skip
    floor = await floor_of(here, different, same)
    assert another(floor, order(ONE), floor.find(order(ONE))) is same
    floor = await floor_of(here, different)
    first = floor.find(order(ONE))
    here.models = ()  # it has gone, and is offered no more
    assert another(floor, order(ONE), first) is None
    assert floor.find(order(ONE)).backend is different


async def test_who_stands_in_holds_as_long_a_text() -> None:
    floor = await floor_of(machine(ONE, rate=20.0), machine(OTHER, context=1024))
    assert another(floor, order("model"), floor.find(order("model"))) is None
    larger = machine(OTHER, context=4096)
    floor = await floor_of(machine(ONE, rate=20.0), larger)
    assert another(floor, order("model"), floor.find(order("model"))) is larger


async def test_wasm_goes_on_wherever_the_same_engine_runs_it() -> None:
    here, there = (machine("", engine="wasmtime 1", rate=rate, kind=WorkKind.WASM) for rate in (2.0, 1.0))
    floor = await floor_of(here, there)
    job = order("ab" * 32, kind=WorkKind.WASM)
    assert another(floor, job, floor.find(job)) is there
