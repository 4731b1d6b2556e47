"""What work neighbours have done, and that they know when it was done well."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.localnet.errands_policy import MOST, PRIMES, Work, decide_errand, primes_below


@given(st.sets(st.sampled_from([*(work.value for work in Work), "onnx"])), st.integers())
def test_only_what_is_offered_is_bought(kinds: set[str], seed: int) -> None:
    errand = decide_errand(kinds, random.Random(seed))
    if errand is None:
        assert kinds <= {"onnx"}
    else:
        assert errand.work.value in kinds
        assert bool(errand.text) == (errand.work is Work.CHAT)
        assert bool(errand.texts) == (errand.work is Work.EMBEDDING)
        assert (errand.below > 0) == (errand.work is Work.WASM)


def test_over_time_everything_is_bought_and_hardly_anything_twice() -> None:
    dice = random.Random(5)
    errands = [decide_errand({work.value for work in Work}, dice) for _ in range(300)]
    assert {errand.work for errand in errands if errand} == set(Work)
    assert len({repr(errand) for errand in errands}) > 250


@pytest.mark.parametrize(("limit", "count"), [(0, 0), (2, 0), (3, 1), (100, 25), (10_000, 1229), (MOST, 17984)])
def test_the_program_counts_what_the_sieve_counts(limit: int, count: int, tmp_path: Path) -> None:
    assert primes_below(limit) == count
    source = (Path(__file__).parent / "primes.wat").read_text()
    assert bytes(wasmtime.wat2wasm(source)) == PRIMES
    engine = wasmtime.Engine()
    linker, store, wasi = wasmtime.Linker(engine), wasmtime.Store(engine), wasmtime.WasiConfig()
    linker.define_wasi()
    (tmp_path / "in").write_bytes(b"%d" % limit)
    wasi.stdin_file, wasi.stdout_file = str(tmp_path / "in"), str(tmp_path / "out")
    store.set_wasi(wasi)
    start = linker.instantiate(store, wasmtime.Module(engine, PRIMES)).exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    start(store)
    del store, start
    assert (tmp_path / "out").read_bytes() == b"%d\n" % count
