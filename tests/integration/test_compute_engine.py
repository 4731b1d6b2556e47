"""The whole of it: an engine that shares computing power, found on the hub, bought from, and telling what it earned."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from depin_desktop.api.client import EngineClient
from depin_desktop.api.compute import ComputeStatus, ImportModel, ShareCompute
from depin_desktop.api.models import EngineStatus
from depin_desktop.cli.root import main as command_line
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.engine.engine import Engine
from depin_desktop.net.offers import NodeOffer
from depin_desktop.services.compute.models import shipped_models
from tests.unit.onnx_files import doubling_model

from .compute_market import Buyer, buyer
from .homes import CommandFailed

CHAT = "/compute/v1/chat/completions"
HEAVY = {"xllamacpp", "onnxruntime", "wasmtime", "numpy", "tokenizers", "ray"}


@contextlib.asynccontextmanager
async def running(home: Home) -> AsyncIterator[tuple[Engine, EngineClient]]:
    engine = Engine(home)
    await engine.start()
    try:
        async with EngineClient(home) as client:
            yield engine, client
    finally:
        began = time.monotonic()
        await engine.stop()
        assert time.monotonic() - began < 10


async def until(client: EngineClient, topic: str, reached: Any, timeout_s: float = 60) -> Any:
    async with asyncio.timeout(timeout_s):
        async for event in client.events():
            if event.topic == topic and reached(event.data):
                return event.data
    return None


async def types(home: Home, *arguments: str) -> str:
    """A command as a person types it, in this process: starting one for each takes a second."""
    asked = (*arguments, "--home", str(home.root))
    done = await asyncio.to_thread(CliRunner().invoke, command_line, asked)
    if done.exit_code != 0:
        raise CommandFailed(arguments, done.exit_code, done.stdout, done.stderr)
    return done.stdout


def offered(*kinds: str) -> Any:
    return lambda data: {model["kind"] for model in data["models"] if model["served"]} >= set(kinds)


@pytest.mark.skipif(len(shipped_models()) < 2, reason="the development models are not installed")
async def test_an_engine_sells_chat_and_its_wallet_grows_by_what_the_vouchers_say(
    make_home: Any, tmp_path: Path
) -> None:
    home = await make_home()
    async with running(home) as (engine, client):
        assert (await client.status()).services[1].state == "off"
        status = await client.share_compute(ShareCompute(price_out_per_mtoken=10**21))
        assert status.shared
        await until(client, "compute", offered("chat", "embedding", "wasm"))
        await until(client, "status", lambda data: data["network"]["connected"] and data["hub"]["connected"])
        hub = engine.joined.link.hub if engine.joined else None
        assert hub is not None
        owner = engine.keys.owner
        offers = await hub.wait_for_offers(lambda found: _sells_all(found.get(owner)), 10)
        offer = offers[owner].compute
        assert offer is not None
        assert all(model.rate > 0 for model in offer.models)
        said = asyncio.create_task(_listen(engine, heard := []))
        async with buyer(_as_vendor(engine), tmp_path / "buyer") as customer:
            answers = []
            for _ in range(3):
                answers.append(await _ask(customer, offer.models[0].sha256))
                await until(client, "compute", lambda data: len(data["jobs"]) == len(answers))  # told one by one
        earned = sum(answer.charged for answer in answers)
        card = await until(client, "status", lambda data: data["services"][1]["earned_total"] == str(earned))
        await until(client, "compute", lambda data: data["service"]["earned_total"] == str(earned))
        said.cancel()
        assert len(heard) > 3
        _check_sums([*heard, engine.status(), engine.compute.status()])
        assert card["services"][0]["earned_total"] == "0"
        assert card["services"][1]["state"] == "earning"
        wallet = await client.wallet()
        assert wallet.earned_total == earned
        assert [(entry.amount, entry.net) for entry in await client.history() if entry.kind == "compute"] == [
            (earned, earned)
        ]
        jobs = json.loads(await types(home, "compute", "jobs", "--json"))
        assert [(job["outcome"], job["earned"]) for job in jobs] == [
            ("done", str(answer.charged)) for answer in reversed(answers)
        ]
        status = await client.unshare_compute()
        assert (status.shared, status.service.state) == (False, "off")
        assert owner not in await hub.wait_for_offers(lambda found: owner not in found, 10)
    async with running(home) as (_, client):
        status = await client.compute()
        assert sum(job.earned for job in status.jobs) == earned
        assert not status.shared


async def _listen(engine: Engine, heard: list[EngineStatus | ComputeStatus]) -> None:
    with engine.bus.subscribe() as news:
        async for message in news:
            if isinstance(message.data, EngineStatus | ComputeStatus):
                heard.append(message.data)


def _check_sums(heard: list[EngineStatus | ComputeStatus]) -> None:
    """Whatever is shown together adds up, at every moment."""
    for said in heard:
        if isinstance(said, ComputeStatus):
            assert said.service.earned_total == sum(device.earned_total for device in said.devices)
            assert said.service.earned_total == sum(job.earned for job in said.jobs)
        else:
            assert said.earned_total == sum(service.earned_total for service in said.services)


def _sells_all(offer: NodeOffer | None) -> bool:
    compute = offer.compute if offer else None
    return compute is not None and compute.wasm is not None and len(compute.models) == 2


def _as_vendor(engine: Engine) -> Any:
    """What a buyer needs to know of a provider, taken from one that runs as an engine."""
    joined = engine.joined
    assert joined is not None
    assert joined._offering is not None
    return SimpleNamespace(peer=joined.link.peer, chain=joined.link.chain, offer=joined._offering._last)


async def _ask(customer: Buyer, model: str) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8, "temperature": 0}
    answer = await customer.ask(CHAT, body)
    assert answer.status == 200, answer.data
    return answer


async def test_sharing_is_a_command_and_survives_a_restart(make_home: Any, tmp_path: Path) -> None:
    home = await make_home()
    file, pickle = tmp_path / "doubling.onnx", tmp_path / "model.pt"
    file.write_bytes(doubling_model())
    pickle.write_bytes(b"\x80\x04")
    async with running(home):
        said = await types(home, "share", "compute", "--price-in", "2.5", "--no-chat", "--no-embeddings", "--json")
        assert ComputeStatus.model_validate_json(said).shared
        with pytest.raises(CommandFailed, match="OpenAI-compatible"):
            await types(home, "share", "compute", "--upstream", "nonsense")
        imported = json.loads(await types(home, "compute", "models", "import", str(file), "--json"))
        (sha256,) = (model["sha256"] for model in imported["models"] if model["kind"] == "onnx")
        assert sha256 == hashlib.sha256(doubling_model()).hexdigest()
        with pytest.raises(CommandFailed, match="pickle"):
            await types(home, "compute", "models", "import", str(pickle))
        assert "doubling" in await types(home, "compute", "models", "list")
        listed = json.loads(await types(home, "compute", "models", "--json"))
        assert sha256 in {model["sha256"] for model in listed}
        text = await types(home, "compute", "models", "remove", sha256[:12])
        assert "doubling" not in text
        with pytest.raises(CommandFailed, match="no such model"):
            await types(home, "compute", "models", "remove", "ab" * 32)
    async with running(home) as (_, client):
        await until(client, "compute", offered("wasm"))
        status = await client.compute()
        assert [model.kind for model in status.models if model.served] == ["wasm"]
        text = await types(home, "compute", "status")
        assert "Gfuel/s" in text
        with pytest.raises(UserFacingError, match="There is no file"):
            await client.import_model(ImportModel(path="/nowhere.gguf"))
        text = await types(home, "unshare", "compute")
        assert "not shared" in text


def test_the_engines_process_never_loads_what_only_workers_need() -> None:
    code = "import sys, depin_desktop.engine.engine; print(__import__('json').dumps(sorted(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not HEAVY & set(json.loads(said))


async def test_a_list_of_machines_that_cannot_be_read_is_said_and_the_rest_goes_on(make_home: Any) -> None:
    home = await make_home()
    home.compute.mkdir()
    (home.compute / "elsewhere.json").write_text("not a list")
    async with running(home) as (engine, client):
        with pytest.raises(UserFacingError, match="cannot be read"):
            await client.share_compute(ShareCompute(upstreams=("http://127.0.0.1:9",)))
        status = await client.share_compute(ShareCompute())
        assert (status.service.state, "Move the file away" in status.service.reason) == ("fault", True)
        (home.compute / "elsewhere.json").unlink()
        await engine.compute_service.reload()
        assert (await client.compute()).service.state != "fault"
