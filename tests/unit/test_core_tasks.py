import asyncio
import logging

import pytest

from depin_desktop.core.tasks import Cycle, Tasks


async def test_a_triggered_cycle_runs_at_once_and_survives_a_failing_round() -> None:
    rounds: list[int] = []

    async def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 2:
            raise RuntimeError("second round")

    tasks, cycle = Tasks("test"), Cycle("test", 3600, work)
    tasks.spawn("cycle", cycle.run())
    for _ in range(4):
        await cycle.trigger_and_wait()
    assert len(rounds) >= 4
    await tasks.close()


async def test_trigger_and_wait_waits_for_a_round_that_began_after_the_call() -> None:
    began, release = asyncio.Event(), asyncio.Event()
    finished: list[str] = []

    async def work() -> None:
        mine = "first" if not began.is_set() else "later"
        began.set()
        await release.wait()
        finished.append(mine)

    tasks, cycle = Tasks("test"), Cycle("test", 3600, work)
    tasks.spawn("cycle", cycle.run())
    await began.wait()
    waiting = asyncio.create_task(cycle.trigger_and_wait())
    release.set()
    await waiting
    assert finished[:2] == ["first", "later"]
    await tasks.close()


async def test_a_failed_task_is_reported_by_name(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("no")

    tasks = Tasks("owner")
    with caplog.at_level(logging.ERROR):
        await asyncio.wait([tasks.spawn("job", fail())])
        await tasks.close()
    assert "owner/job" in caplog.text
