"""The bare engine to compare with: llama.cpp in a process of its own, asked without HTTP, payment or another process.

Takes a JSON object a line, {"bodies": [OpenAI chat bodies, run at once]}, and answers with one:
{"seconds", "tokens", "first_s": [until each one's first word]}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from depin_desktop.services.compute.runtimes import limits


class Raw:
    """A running one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, bodies: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Streams these chats at once."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"bodies": list(bodies)}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await process.stdout.readline())
        return answer


@contextlib.asynccontextmanager
async def raw_llama(path: str, *, threads: int, slots: int, context: int, gpu_layers: int = 0) -> AsyncIterator[Raw]:
    """Starts one with what a worker of ours is started with."""
    chosen = json.dumps({"path": path, "threads": threads, "slots": slots, "context": context, "gpu": gpu_layers})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.raw_llama", chosen),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 20,
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield Raw(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _stream(server: Any, body: dict[str, Any], began: float, out: dict[str, Any]) -> None:
    def take(data: Any) -> bool:
        text = data if isinstance(data, str | bytes) else json.dumps(data)
        event = json.loads(text)
        for part in event if isinstance(event, list) else [event]:
            choices = part.get("choices") or ()
            if choices and choices[0]["delta"].get("content") and "first_s" not in out:
                out["first_s"] = time.perf_counter() - began
            if part.get("usage"):
                out["tokens"] = part["usage"]["completion_tokens"]
        return False

    server.handle_chat_completions(json.dumps(body), take)


def _serve() -> None:
    chosen = json.loads(sys.argv[1])
    import xllamacpp

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # where the engine prints
    limits.keep_to(os.getpid(), chosen["threads"])
    params = xllamacpp.CommonParams()
    params.model.path = chosen["path"]
    params.n_parallel, params.n_ctx = chosen["slots"], chosen["slots"] * chosen["context"]
    params.n_batch = params.n_ubatch = 512
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = chosen["threads"]
    params.n_gpu_layers = chosen["gpu"]
    params.cache_ram_mib = 0
    params.verbosity = 1
    params.port = 0
    server = xllamacpp.Server(params)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        bodies = json.loads(line)["bodies"]
        outs: list[dict[str, Any]] = [{} for _ in bodies]
        began = time.perf_counter()
        threads = [
            threading.Thread(target=_stream, args=(server, body, began, out))
            for body, out in zip(bodies, outs, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        said = {
            "seconds": time.perf_counter() - began,
            "tokens": sum(out["tokens"] for out in outs),
            "first_s": [out["first_s"] for out in outs],
        }
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
