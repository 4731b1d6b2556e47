"""Large reads of an iroh stream, converted in a thread instead of on the event loop.

The binding turns what was read into a Python object byte by byte inside Rust, some 0.6 ns each, while its future is
polled, and it polls on the event loop. Here a thread polls, so that the loop goes on parsing and decrypting meanwhile:
some 5 % more on a stream between two processes on two cores (tests/benchmarks/bench_stream.py). Small reads stay with
the binding, as changing threads costs more than they do; so does everything where its internals are not as expected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import iroh

from depin_desktop.net import iroh_patch

BULK = 64 * 1024  # reads of more than this may be worth a thread
THREADS = 2

Read = Callable[[int], Awaitable[bytes]]


@dataclass(frozen=True)
class _Internals:
    """What of the generated binding is called directly."""

    begin: Callable[[Any, int], Any]
    poll: Callable[[Any, Any, Any], None]
    complete: Any
    free: Callable[[Any], None]
    call: Callable[..., Any]
    lift: Callable[[Any], bytes]
    error: Any
    woken: Any
    waiting: Any
    ready: int


@cache
def _internals() -> _Internals | None:
    """The binding's parts, None where it is another binding than the one this was written for."""
    if not iroh_patch.is_known():
        return None
    try:
        binding: Any = import_module("iroh.iroh_ffi")
        library = binding._UniffiLib
        return _Internals(
            begin=library.uniffi_iroh_ffi_fn_method_recvstream_read,
            poll=library.ffi_iroh_ffi_rust_future_poll_rust_buffer,
            complete=library.ffi_iroh_ffi_rust_future_complete_rust_buffer,
            free=library.ffi_iroh_ffi_rust_future_free_rust_buffer,
            call=binding._uniffi_rust_call_with_error,
            lift=binding._UniffiFfiConverterBytes.lift,
            error=binding._UniffiFfiConverterTypeIrohError__as_error,
            woken=binding._uniffi_continuation_callback,
            waiting=binding._UniffiContinuationHandleMap,
            ready=binding._UNIFFI_RUST_FUTURE_POLL_READY,
        )
    except AttributeError:
        return None


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="iroh-read")


def reader(receiver: iroh.RecvStream) -> Read:
    """`receiver.read` (up to so many bytes; none at the end), quicker for large reads where that is possible."""
    internals = _internals()
    if internals is None:
        plain: Read = receiver.read
        return plain

    async def read(size: int) -> bytes:
        if size <= BULK:
            small: bytes = await receiver.read(size)
            return small
        return await _read_in_thread(internals, receiver, size)

    return read


async def _read_in_thread(inner: _Internals, receiver: Any, size: int) -> bytes:
    """What the binding's `_uniffi_rust_call_async` does, but for who polls.

    As there, a read that is cancelled may have taken bytes: it has to be the last one.
    """
    loop, polled, waiting = asyncio.get_running_loop(), _nothing(), 0
    future = inner.begin(receiver._uniffi_clone_handle(), size)
    try:
        code = None
        while code != inner.ready:
            woken = loop.create_future()
            waiting = inner.waiting.insert((loop, woken))
            polled = _threads().submit(inner.poll, future, inner.woken, waiting)
            code = await woken
        return inner.lift(inner.call(inner.error, inner.complete, future))
    finally:
        if polled.cancel():
            inner.waiting.remove(waiting)
        # A cancelled read may be polled just now: the future has to outlive that.
        polled.add_done_callback(lambda _: inner.free(future))


def _nothing() -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done
