"""What workers get under what the owner allows; and rates that are measured once and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from depin_desktop.controls.allowance import Allowance
from depin_desktop.services.compute.models import Model, Models
from depin_desktop.services.compute.runtimes import plans
from depin_desktop.services.compute.runtimes.base import WorkKind
from depin_desktop.services.compute.runtimes.local import LocalBackend
from depin_desktop.services.compute.runtimes.rates import Rates

GIB = 1 << 30
CARD, OTHER = "GPU-1111", "GPU-2222"
MODEL = Model(
    "a" * 64, WorkKind.CHAT, "m", Path("/m.gguf"), GIB, context_tokens=8192, layers=32, cache_bytes_per_token=65536
)


def allowed(memory: int = 8 * GIB, *, gpus: tuple[str, ...] = (), vram: int | None = None) -> Allowance:
    return Allowance(True, cpu_threads=4, memory_bytes=memory, gpus=gpus, vram_bytes=vram)


@pytest.mark.parametrize(
    ("memory", "tokens"), [(64 * GIB, 4096), (3 * GIB, 4096), (2 * GIB, 2048), (GIB + 500 * plans.MIB, 512), (GIB, 0)]
)
def test_a_chats_context_shrinks_with_the_memory(memory: int, tokens: int) -> None:
    assert plans.context_tokens(MODEL, memory) == tokens
    assert plans.fits(MODEL, allowed(memory)) == (tokens > 0)


def test_without_cards_no_layer_leaves_the_processor_and_no_card_is_seen() -> None:
    plan = plans.model_plan(MODEL, allowed(), Path("/s"))
    assert plan.settings["gpu_layers"] == 0
    assert plan.environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert plan.memory_bytes == 8 * GIB
    assert plan.threads == plan.settings["threads"] == 4


def test_a_model_goes_onto_one_allowed_card_as_far_as_its_share_reaches() -> None:
    plan = plans.model_plan(MODEL, allowed(gpus=(CARD, OTHER)), Path("/s"))
    assert plan.settings["gpu_layers"] == plans.ALL_LAYERS
    assert plan.environment["CUDA_VISIBLE_DEVICES"] == CARD
    assert plan.memory_bytes == 0
    half = plans.model_plan(MODEL, allowed(gpus=(CARD,), vram=GIB), Path("/s"))
    assert 0 < half.settings["gpu_layers"] < 32


def test_wasm_workers_follow_processors_and_memory() -> None:
    assert plans.wasm_workers(allowed()) == 4
    assert plans.wasm_workers(allowed(4 * GIB)) == 2
    assert plans.wasm_workers(allowed(GIB)) == 1


def test_rates_are_kept_by_model_build_and_threads(tmp_path: Path) -> None:
    rates = Rates(tmp_path / "rates.json")
    rates.load()
    rates.put("a", "engine 1 cpu", 2, 12.5)
    rates.put_engine("engine 1", "engine 1 cuda", gpu=True)
    again = Rates(tmp_path / "rates.json")
    again.load()
    assert again.get("a", "engine 1 cpu", 2) == 12.5
    assert again.get("a", "engine 1 cpu", 1) == again.get("a", "engine 2 cpu", 2) == 0
    assert again.engine("engine 1", gpu=True) == "engine 1 cuda"
    assert again.engine("engine 1", gpu=False) == ""
    (tmp_path / "rates.json").write_text("{")
    again.load()


async def test_wasm_is_measured_once_and_the_measure_survives_a_restart(tmp_path: Path) -> None:
    models = Models(tmp_path / "models", shipped=lambda: ())
    await models.open()

    def backend() -> LocalBackend:
        return LocalBackend(models, scratch=tmp_path / "scratch", allowance=allowed)

    first = backend()
    await first.start()
    await first.tend.trigger_and_wait()
    (served,) = first.served()
    await first.stop()
    assert served.rate > 1e6
    again = backend()
    await again.start()
    assert again.served() == (served,)
    await again.tend.trigger_and_wait()
    assert not again.workers()
    await again.stop()
