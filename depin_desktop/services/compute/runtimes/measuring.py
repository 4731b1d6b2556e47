"""How fast this machine does each kind of work: short real jobs, run through the same workers as customers' jobs."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from depin_desktop.services.compute.runtimes.base import Chunk, Job, Usage, WorkKind

Run = Callable[[Job], AsyncIterator[Chunk]]

_CHAT_TOKENS = 48
_TEXT = "Computers at home share their disks, cards and sensors with a network that no company owns. " * 4
_TEXTS = 8
_REPEATS = 3
# (module (func (export "_start") (local i32) (local.set 0 (i32.const 20000000))
#   (loop $again (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))
_LOOP = bytes.fromhex(
    "0061736d0100000001040160000003020100070a01065f737461727400000a19011701017f4180dac40921000340200041016b22000d000b0b0011046e616d65030a0100010005616761696e"
)


async def measure(kind: WorkKind, sha256: str, run: Run, folder: Path) -> float:
    """The rate in the unit that `base.ServedModel` names.

    Raises:
        JobFailed: the work cannot be done here.
    """
    if kind is WorkKind.CHAT:
        return await _tokens_generated(sha256, run)
    if kind is WorkKind.WASM:
        return await _fuel(run, folder)
    if kind is WorkKind.EMBEDDING:
        job = Job(secrets.token_hex(16), kind, sha256, {"input": [_TEXT] * _TEXTS})
    else:
        job = Job(secrets.token_hex(16), kind, sha256, {"measure": True})
    await _last(run(job))
    usages = [await _last(run(job)) for _ in range(_REPEATS)]
    seconds = min(usage.seconds for usage in usages)
    amount = usages[0].prompt_tokens if kind is WorkKind.EMBEDDING else 1
    return amount / seconds if seconds > 0 else 0.0


async def _tokens_generated(sha256: str, run: Run) -> float:
    messages = [{"role": "user", "content": "Tell a long story about a lighthouse."}]
    body = {"messages": messages, "max_tokens": _CHAT_TOKENS, "temperature": 0, "stream": True}
    first_at, first, last = 0.0, 0, Usage()
    async for chunk in run(Job(secrets.token_hex(16), WorkKind.CHAT, sha256, body)):
        last = chunk.usage
        if not first and last.completion_tokens:
            first, first_at = last.completion_tokens, time.perf_counter()
    seconds = time.perf_counter() - first_at
    return (last.completion_tokens - first) / seconds if first and seconds > 0 else 0.0


async def _fuel(run: Run, folder: Path) -> float:
    module = folder / "measure.wasm"
    module.write_bytes(_LOOP)
    body = {"fuel": 10**9, "memory": 1 << 20, "seconds": 20.0}
    job = Job(secrets.token_hex(16), WorkKind.WASM, hashlib.sha256(_LOOP).hexdigest(), body, module=module)
    await _last(run(job))
    usage = await _last(run(job))
    return usage.fuel / usage.seconds if usage.seconds > 0 else 0.0


async def _last(chunks: AsyncIterator[Chunk]) -> Usage:
    usage = Usage()
    async for chunk in chunks:
        usage = chunk.usage
    return usage
