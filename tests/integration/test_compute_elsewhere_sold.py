"""What runs on another machine of the owner's is sold like the rest: offered, paid for, and signed as what it is."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.api.compute import ShareCompute
from depin_desktop.cli.compute import _job_row
from depin_desktop.core.errors import UserFacingError

from .compute_market import buyer, new_home, vendor
from .llama_child import llama_server, smollm2

KEY = "a-key-for-the-owner-alone"


async def test_a_customer_pays_for_a_chat_that_another_server_answers(localnet: Any, tmp_path: Path) -> None:
    home = await new_home(tmp_path / "home", localnet.file)
    async with llama_server(key=KEY, threads=1) as llama, vendor(home, localnet.network) as seller:
        await seller.sharing.share(
            ShareCompute(embeddings=False, onnx=False, wasm=False, upstreams=(llama.url,), upstream_key=KEY)
        )
        status = await seller.until(lambda status: any("remote" in model.engine for model in status.models), 60)
        model = next(model for model in status.models if "remote" in model.engine and model.kind == "chat")
        assert model.name == smollm2().name
        async with buyer(seller, tmp_path) as customer:
            body = {
                "model": model.sha256,
                "messages": [{"role": "user", "content": "Hello"}],
                "max_tokens": 8,
                "stream": True,
            }
            answer = await customer.ask("/compute/v1/chat/completions", body)
        receipt = answer.check(seller)
        assert answer.text
        assert receipt.engine == model.engine
        assert receipt.model == model.sha256
        assert receipt.usage.completion_tokens == 8
        assert receipt.charged > 0

        name = f"server {llama.url.removeprefix('http://').removesuffix('/v1')}"
        assert model.device == name
        job = await seller.job(lambda job: job.id == receipt.job and job.ended_at is not None)
        assert (job.device, name in _job_row(job)) == (name, True)
        shown = seller.service.compute_status()
        assert [(device.device, device.earned_total) for device in shown.devices] == [(name, receipt.charged)]
        offer = seller.service.offer()
        assert offer is not None
        assert llama.url.split(":")[2].removesuffix("/v1") not in offer.model_dump_json()  # nobody else is told

        kept = home.compute / "elsewhere.json"
        assert KEY in kept.read_text()
        if sys.platform != "win32":
            assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert KEY not in status.model_dump_json()

        await seller.sharing.share(ShareCompute(upstreams=()))
        await seller.until(lambda status: not any("remote" in model.engine for model in status.models))
        assert KEY not in kept.read_text()


async def test_an_address_that_is_none_connects_nothing(localnet: Any, tmp_path: Path) -> None:
    home = await new_home(tmp_path / "home", localnet.file)
    async with vendor(home, localnet.network) as seller:
        for request in (ShareCompute(upstreams=("gpu.lan",)), ShareCompute(ray="auto")):
            with pytest.raises(UserFacingError):
                await seller.sharing.share(request)
        assert not (home.compute / "elsewhere.json").exists()
