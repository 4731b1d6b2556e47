"""This machine's own workers sell to a paying customer over iroh: real models, real sandbox, real chain."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy
import psutil
import pytest
import pytest_asyncio

from depin_desktop.api.compute import ImportModel, JobOutcome
from depin_desktop.api.controls import SetPause
from depin_desktop.controls.load import own_pids
from depin_desktop.customer.compute.canaries import wasm_canary
from depin_desktop.net import metering
from depin_desktop.services.compute.models import shipped_models
from depin_desktop.services.compute.running import Run
from depin_desktop.services.compute.runtimes.base import Usage
from depin_desktop.services.compute.runtimes.local import LocalBackend
from tests.unit.onnx_files import doubling_model

from .compute_market import Buyer, Vendor, buyer, new_home, vendor

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(len(shipped_models()) < 2, reason="the development models are not installed"),
]
CHAT, EMBED = "/compute/v1/chat/completions", "/compute/v1/embeddings"
LOOP = bytes.fromhex(
    "0061736d01000000010401600000030201000503010001071302066d656d6f72790200065f737461727400000a09010700"
)
LOOP += bytes.fromhex("03400c000b0b")
KINDS = {"chat", "embedding", "wasm"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seller(localnet: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Vendor]:
    home = await new_home(tmp_path_factory.mktemp("vendor"), localnet.file)
    async with vendor(home, localnet.network) as made:
        await made.until(lambda status: {model.kind for model in status.models if model.served} >= KINDS, 60)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def customer(seller: Vendor, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Buyer]:
    async with buyer(seller, tmp_path_factory.mktemp("buyer")) as opened:
        yield opened


def local(seller: Vendor) -> LocalBackend:
    (backend,) = (one for one in seller.service.floor.backends if isinstance(one, LocalBackend))
    return backend


def question(tokens: int, *, stream: bool, model: str) -> dict[str, Any]:
    return {
        "model": model, "messages": [{"role": "user", "content": "Count from one to twenty in words."}],
        "max_tokens": tokens, "temperature": 0, "seed": 1, "stream": stream,
    }  # fmt: skip


async def test_a_chat_is_the_same_text_whole_and_streamed_and_paid_by_its_tokens(
    seller: Vendor, customer: Buyer
) -> None:
    model = seller.model("chat")
    whole = await customer.ask(CHAT, question(24, stream=False, model=model))
    stream = await customer.ask(CHAT, question(24, stream=True, model=model))
    assert whole.status == stream.status == 200
    assert stream.text == whole.json["choices"][0]["message"]["content"] != ""
    prices = seller.service.choices.prices
    for answer in (whole, stream):
        receipt = answer.check(seller)
        assert receipt.model == model
        assert receipt.engine.startswith("xllamacpp")
        usage = receipt.usage
        assert (usage.prompt_tokens > 10, usage.completion_tokens) == (True, 24)
        assert receipt.charged == metering.tokens_cost(
            usage.prompt_tokens, 24, prices.price_in_per_mtoken, prices.price_out_per_mtoken
        )


async def test_a_whole_chat_that_its_customer_leaves_is_charged_for_what_was_written(
    seller: Vendor, customer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, told = asyncio.Event(), Run.told

    def counted(run: Run, usage: Usage) -> None:
        told(run, usage)
        if run.usage.completion_tokens >= 5:
            written.set()

    monkeypatch.setattr(Run, "told", counted)
    body = question(1500, stream=False, model=seller.model("chat"))
    asking = asyncio.create_task(customer.ask(CHAT, body))
    await asyncio.wait_for(written.wait(), 30)
    (run,) = seller.service.jobs._runs.values()
    asking.cancel()
    job = await seller.job(lambda job: job.id == run.id and job.ended_at is not None)
    assert (job.outcome, job.prompt_tokens > 10) == (JobOutcome.CANCELLED, True)
    assert 5 <= job.completion_tokens < 1500
    prices = seller.service.choices.prices
    assert job.earned == metering.tokens_cost(
        job.prompt_tokens, job.completion_tokens, prices.price_in_per_mtoken, prices.price_out_per_mtoken
    )
    assert (await customer.ask(CHAT, question(3, stream=False, model=seller.model("chat")))).status == 200


async def test_embeddings_are_vectors_and_paid_by_what_was_read(seller: Vendor, customer: Buyer) -> None:
    answer = await customer.ask(EMBED, {"model": seller.model("embedding"), "input": ["a cat", "a dog", "tax law"]})
    vectors = [numpy.array(row["embedding"]) for row in answer.json["data"]]
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert answer.check(seller).usage.prompt_tokens > 3


async def test_a_wasm_job_gives_the_known_answer_and_pays_its_fuel(seller: Vendor, customer: Buyer) -> None:
    canary = wasm_canary(random.Random(3))
    sha256 = await customer.send_module(canary.ask.module)  # type: ignore[attr-defined]
    answer = await customer.run(sha256, canary.ask.stdin)  # type: ignore[attr-defined]
    assert answer.data == canary.answer
    assert answer.check(seller).usage.fuel > 20_000


async def test_an_endless_loop_costs_its_fuel_and_harms_nobody(seller: Vendor, customer: Buyer) -> None:
    sha256 = await customer.send_module(LOOP)
    began = time.monotonic()
    answer = await customer.run(sha256, fuel=10**8)
    assert (answer.status, answer.json["code"]) == (422, "fuel")
    assert time.monotonic() - began < 10
    job = await seller.job(lambda job: job.model == sha256 and job.ended_at is not None)
    assert (job.outcome, job.earned > 0) == (JobOutcome.FAILED, True)


async def test_an_endless_loop_that_its_time_ended_pays_for_its_seconds_as_its_fuel_is_not_known(
    seller: Vendor, customer: Buyer
) -> None:
    sha256 = await customer.send_module(LOOP)
    before = seller.paywall.pending()
    answer = await customer.run(sha256, fuel=10**12, seconds=0.3)
    assert (answer.status, answer.json["code"]) == (422, "time-limit")
    job = await seller.job(lambda job: job.model == sha256 and job.ended_at is not None and not job.fuel)
    # The limit counts from when the job is handed over, its seconds from when the worker has it: a little less, here.
    assert (job.outcome, job.seconds > 0) == (JobOutcome.FAILED, True)
    prices = seller.service.choices.prices
    paid = metering.wasm_cost(0, job.seconds, prices.price_per_gfuel, prices.price_per_run_second)
    assert job.earned == paid == seller.paywall.pending() - before
    assert paid > metering.wasm_cost(0, 0.0, prices.price_per_gfuel, prices.price_per_run_second)


async def test_an_onnx_model_is_taken_in_measured_offered_and_paid_by_the_second(
    seller: Vendor, customer: Buyer, tmp_path: Path
) -> None:
    file = tmp_path / "doubling.onnx"
    file.write_bytes(doubling_model())
    status = await seller.sharing.import_model(ImportModel(path=str(file), licence="CC0"))
    assert status.imports
    status = await seller.until(lambda status: any(m.kind == "onnx" and m.served for m in status.models))
    (model,) = (model for model in status.models if model.kind == "onnx")
    assert (model.name, model.licence, status.imports) == ("doubling", "CC0", ())
    inputs, outputs = io.BytesIO(), None
    numpy.savez(inputs, x=numpy.arange(5, dtype=numpy.float32))
    answer = await customer.ask(f"/compute/onnx/{model.sha256}", data=inputs.getvalue())
    outputs = numpy.load(io.BytesIO(answer.data))
    assert outputs["y"].tolist() == [0, 2, 4, 6, 8]
    assert answer.check(seller).usage.seconds > 0
    await seller.sharing.remove_model(model.sha256)
    await seller.until(lambda status: all(m.kind != "onnx" for m in status.models))


async def test_an_import_that_fails_says_so_until_it_was_read(seller: Vendor, tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"\x80\x04 a pickle")
    await seller.sharing.import_model(ImportModel(path=str(file)))
    status = await seller.until(lambda status: any(one.problem for one in status.imports))
    assert "pickle" in status.imports[0].problem
    assert (await seller.sharing.cancel_import(status.imports[0].id)).imports == ()


async def test_a_pause_ends_workers_within_a_second_and_the_next_job_loads_again(
    seller: Vendor, customer: Buyer
) -> None:
    model = seller.model("chat")
    response = await customer.open(CHAT, question(2000, stream=True, model=model))
    seen = b""
    while seen.count(b"data:") < 3:  # a sign of life, or the role, may come before the first word
        seen += await response.content.readany()
    workers = [psutil.Process(worker.pid) for worker in local(seller).workers() if worker.pid]
    assert workers
    assert {worker.pid for worker in workers} <= own_pids()  # their load never counts as somebody else's
    began = time.monotonic()
    await seller.controls.pause(SetPause())
    answer = await customer.read(response)
    _, alive = await asyncio.to_thread(psutil.wait_procs, workers, 2)
    assert alive == []
    assert time.monotonic() - began < 1
    assert answer.receipt is not None
    assert answer.receipt.usage.completion_tokens > 0
    assert answer.charged == answer.receipt.charged > 0
    await seller.controls.resume()
    assert (await customer.ask(CHAT, question(3, stream=False, model=model))).status == 200


async def test_what_each_device_has_earned_adds_up_to_what_vouchers_say(seller: Vendor, customer: Buyer) -> None:
    status = await seller.until(lambda status: status.running == 0 and status.service.earned_total > 0)
    taken = sum(taking.amount for taking in await seller.paywall.takings())
    await seller.until(lambda status: sum(device.earned_total for device in status.devices) == taken)
    assert {device.device for device in status.devices} == {"cpu"}
    assert status.devices[0].busy_s > 0
