"""Nothing of iroh's is freed where the garbage collector happens to run, which could stop the whole process."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.net import iroh_release

from .net_strangers import strangers

CHILD = Path(__file__).with_name("iroh_cycles.py")
ROOT = Path(__file__).resolve().parents[2]
STANDSTILL_S = 60


async def test_streams_collected_while_iroh_calls_python_do_not_stop_the_process():
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(STANDSTILL_S):
            assert await child.stdout.read() == b"done\n"
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def test_what_is_collected_is_freed_in_its_own_thread_and_nothing_is_freed_twice(monkeypatch):
    assert iroh_release.apply()
    binding: Any = import_module("iroh.iroh_ffi")
    call, freed, gone = binding._uniffi_rust_call, [], threading.Event()

    def watched(function: Any, *arguments: Any) -> Any:
        if "_fn_free_endpoint" in getattr(function, "__name__", "") and arguments[0] in handles:  # not other tests'
            freed.append((threading.current_thread().name, *arguments))
            if len(freed) == 2:
                gone.set()
        return call(function, *arguments)

    async with strangers(2) as two:
        for stranger in two:
            stranger.me = stranger  # type: ignore[attr-defined]
        handles = {stranger._endpoint._handle for stranger in two}
        del stranger
    monkeypatch.setattr(binding, "_uniffi_rust_call", watched)
    two.clear()
    gc.collect()
    assert await asyncio.to_thread(gone.wait, 20)
    assert [thread for thread, _ in freed] == [iroh_release.THREAD] * 2
    assert {handle for _, handle in freed} == handles


def test_a_binding_that_was_not_studied_is_left_alone(monkeypatch, caplog):
    monkeypatch.setattr(iroh_release.iroh_patch, "is_known", lambda: False)
    assert not iroh_release.apply.__wrapped__()
    assert "stay as they are" in caplog.text


@pytest.mark.parametrize("name", ["SendStream", "RecvStream", "BiStream", "Connection", "Endpoint", "Incoming"])
def test_the_binding_has_the_finalizers_that_are_moved(name):
    assert iroh_release.apply()
    kind = getattr(import_module("iroh.iroh_ffi"), name)
    assert kind.__del__.__module__ == iroh_release.__name__
