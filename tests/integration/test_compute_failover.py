"""One model on several of a provider's machines: when one fails before its first word, the next does the work.

Two real llama.cpp servers of which one is killed; a worker of this machine and a real Ray cluster. One payment each.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import wasmtime

from depin_desktop.api.compute import JobOutcome, JobStatus
from depin_desktop.controls.controls import Controls
from depin_desktop.services.compute import policy
from depin_desktop.services.compute.elsewhere import Elsewhere
from depin_desktop.services.compute.models import Models
from depin_desktop.services.compute.orders import Order
from depin_desktop.services.compute.running import Run
from depin_desktop.services.compute.runtimes.base import Usage, WorkKind
from depin_desktop.services.compute.runtimes.local import LocalBackend
from depin_desktop.services.compute.runtimes.ray_cluster import RayBackend
from depin_desktop.services.compute.runtimes.remote import RemoteBackend

from .compute_market import Answer, Buyer, Vendor, buyer, new_home, vendor
from .compute_village import customer, on_the_hub
from .llama_child import Llama, llama_server, smollm2
from .ray_child import ray_cluster

CHAT = "/compute/v1/chat/completions"
NAME = smollm2().name


@dataclass
class Machines:
    """A provider whose one model runs on two servers, and a customer of its."""

    seller: Vendor
    buyer: Buyer
    servers: dict[str, Llama]

    def next(self, model: str = NAME) -> tuple[Llama, str]:
        """The server that is asked next, and the engine as which it is offered."""
        place = self.seller.service.floor.find(Order(WorkKind.CHAT, model, {}, b"", "", ""))
        assert isinstance(place.backend, RemoteBackend)
        return self.servers[place.backend.upstream.url], place.model.engine

    async def job(self, answer: Answer) -> JobStatus:
        identity = answer.headers["Depin-Job"]
        return await self.seller.job(lambda job: job.id == identity and job.ended_at is not None)


@pytest.fixture
async def machines(localnet: Any, tmp_path: Path) -> AsyncIterator[Machines]:
    home = await new_home(tmp_path / "home", localnet.file)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(llama_server(threads=1)) for _ in range(2)]
        connected = Elsewhere().with_upstream(servers[0].url).with_upstream(servers[1].url)
        backends = [RemoteBackend(upstream) for upstream in connected.upstreams]
        seller = await stack.enter_async_context(vendor(home, localnet.network, lambda _: backends))
        for backend in backends:
            await backend.look()
        opened = await stack.enter_async_context(buyer(seller, tmp_path))
        yield Machines(seller, opened, {server.url: server for server in servers})


def question(model: str = NAME, tokens: int = 8, **more: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": "Count from one to twenty in words."}]
    return {"model": model, "messages": said, "max_tokens": tokens, "temperature": 0, "logit_bias": {"2": -100}, **more}


def costs(seller: Vendor, usage: Any) -> int:
    used = Usage(usage.prompt_tokens, usage.completion_tokens)
    return policy.cost(WorkKind.CHAT, used, seller.service.choices.prices)


async def kill(server: Llama) -> None:
    server.process.kill()
    await server.process.wait()


def written(monkeypatch: pytest.MonkeyPatch, tokens: int) -> asyncio.Event:
    """Set when a whole answer has come so far."""
    far, told = asyncio.Event(), Run.told

    def counted(run: Run, usage: Usage) -> None:
        told(run, usage)
        if run.usage.completion_tokens >= tokens:
            far.set()

    monkeypatch.setattr(Run, "told", counted)
    return far


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_when_a_server_is_gone_the_other_answers_for_one_payment_and_signs_as_itself(
    machines: Machines, stream: bool
) -> None:
    seller = machines.seller
    server, engine = machines.next()
    before = seller.paywall.pending()
    await kill(server)
    answer = await machines.buyer.ask(CHAT, question(stream=stream))
    assert answer.status == 200
    receipt = answer.check(seller)
    (left,) = {model.engine for backend in seller.service.floor.backends for model in backend.served()}
    assert receipt.engine == left != engine
    assert receipt.usage.completion_tokens == 8
    assert answer.charged == costs(seller, receipt.usage) == seller.paywall.pending() - before
    job = await machines.job(answer)
    assert (job.outcome, job.earned) == (JobOutcome.DONE, answer.charged)
    assert f"{engine} failed before its first word" in job.log
    assert machines.next() == (next(one for one in machines.servers.values() if one is not server), left)


async def test_a_whole_answer_is_begun_anew_elsewhere_and_what_was_written_in_vain_is_not_paid(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    seller, far = machines.seller, written(monkeypatch, 5)
    server, engine = machines.next()
    before = seller.paywall.pending()
    asking = asyncio.create_task(machines.buyer.ask(CHAT, question(tokens=40)))
    await far.wait()
    await kill(server)
    answer = await asking
    receipt = answer.check(seller)
    assert receipt.engine != engine
    assert receipt.usage.completion_tokens == 40
    assert answer.charged == costs(seller, receipt.usage) == seller.paywall.pending() - before


async def test_a_stream_that_has_begun_is_broken_off_and_charged_for_what_came(machines: Machines) -> None:
    seller = machines.seller
    server, engine = machines.next()
    before = seller.paywall.pending()
    response = await machines.buyer.open(CHAT, question(tokens=2000, stream=True))
    seen = b""
    while seen.count(b"data:") < 3:
        seen += await response.content.readany()
    await kill(server)
    answer = await machines.buyer.read(response)
    assert b'"code": "crashed"' in answer.data
    assert answer.receipt is not None
    assert answer.receipt.engine == engine
    assert 0 < answer.receipt.usage.completion_tokens < 2000
    assert answer.charged == costs(seller, answer.receipt.usage) == seller.paywall.pending() - before


async def test_who_asks_by_hash_gets_no_other_model_and_pays_nothing(machines: Machines) -> None:
    seller = machines.seller
    server, engine = machines.next()
    model = next(one.sha256 for one in seller.service.floor.served() if one.engine == engine)
    before = seller.paywall.pending()
    await kill(server)
    refused = await machines.buyer.ask(CHAT, question(model))
    assert (refused.status, refused.json["code"]) == (502, "crashed")
    others = [one.sha256 for one in seller.service.floor.served()]
    named = await machines.buyer.ask(CHAT, question(model, models=others))  # but the one that it names, too
    assert named.check(seller).model in others
    assert seller.paywall.pending() - before == named.charged


async def test_a_customer_of_the_network_is_served_by_the_machine_that_is_left(
    machines: Machines, network: Any, tmp_path: Path
) -> None:
    server, engine = machines.next()
    async with on_the_hub(machines.seller), customer(network, tmp_path / "customer") as bought:
        first = await bought.compute.chat("Say hello.", model=NAME, max_tokens=4, temperature=0)
        assert first.engine == engine
        before = machines.seller.paywall.pending()
        await kill(server)
        second = await bought.compute.chat("Say hello.", model=NAME, max_tokens=4, temperature=0)
        assert (second.provider, second.text) == (first.provider, first.text)
        assert second.engine != engine
        assert machines.seller.paywall.pending() - before == second.charged > 0
        (one, other) = sorted((await bought.compute.seen()).providers, key=lambda row: row.engine != engine)
        assert (one.served, one.failed, other.served, other.failed) == (1, 0, 1, 0)  # each machine has its own record


# --- a worker and a cluster ------------------------------------------------------------------------------------------

COUNTING = wasmtime.wat2wasm(
    """(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 16) "counted")
      (func (export "_start") (local $n i32)
        (loop $on (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $on (i32.lt_u (local.get $n) (i32.const 4000000000))))
        (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 7))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""
)


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: it has no wheels for this system")
@pytest.mark.skipif(sys.platform != "linux", reason="Ray has clusters of several nodes on Linux only")
async def test_a_job_whose_worker_is_killed_goes_on_in_the_cluster(localnet: Any, tmp_path: Path) -> None:
    home = await new_home(tmp_path / "home", localnet.file)
    models = Models(tmp_path / "models", shipped=tuple)
    await models.open()

    async with ray_cluster() as cluster:
        named = Elsewhere().with_cluster(cluster.address, cluster.token).cluster
        assert named is not None
        ray = RayBackend(named, models, scratch=tmp_path / "ray")

        def backends(controls: Controls) -> Sequence[LocalBackend | RayBackend]:
            return LocalBackend(models, scratch=tmp_path / "scratch", allowance=controls.allowance), ray

        async with vendor(home, localnet.network, backends) as seller, buyer(seller, tmp_path) as paying:
            (local,) = (one for one in seller.service.floor.backends if isinstance(one, LocalBackend))
            await seller.until(lambda status: sum(model.rate > 0 for model in status.models) == 2, 60)
            floor, sha256 = seller.service.floor, await paying.send_module(bytes(COUNTING))
            order = Order(WorkKind.WASM, sha256, {}, b"", "", "")
            while (place := floor.find(order)).backend is not local:
                floor.failed(place)  # the cluster is left alone for a while, so that the worker gets the job
            before = seller.paywall.pending()
            asking = asyncio.create_task(paying.run(sha256, fuel=10**11, seconds=60))
            await seller.until(lambda status: status.running == 1)
            (busy,) = (worker for worker in local.workers() if worker.running)
            psutil.Process(busy.pid).kill()
            answer = await asking
            assert answer.data == b"counted"
            receipt = answer.check(seller)
            assert receipt.output_hash == hashlib.sha256(b"counted").hexdigest()
            assert answer.charged == seller.paywall.pending() - before
            job = await seller.job(lambda job: job.id == receipt.job and job.ended_at is not None)
            assert "failed before its first word" in job.log
