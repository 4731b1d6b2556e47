"""The owner's controls through the engine's door: the local API and the command line."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from click.testing import CliRunner

from depin_desktop.api.client import EngineClient
from depin_desktop.api.controls import Presence, Wishes
from depin_desktop.cli.root import main
from depin_desktop.controls.allowance import Allowance
from depin_desktop.core.errors import UserFacingError
from depin_desktop.engine.engine import Engine


async def depin(*arguments: str) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    return result.exit_code, result.output


async def test_the_owner_sees_sets_snoozes_and_resumes(make_home: Any) -> None:
    home = await make_home()
    engine = Engine(home)
    await engine.start()
    heard: list[tuple[float, Allowance]] = []
    engine.controls.on_change(lambda allowed: heard.append((time.monotonic(), allowed)))
    try:
        async with EngineClient(home) as client:
            assert (await client.controls()).run
            asked = time.monotonic()
            assert not (await client.pause(3600)).run
            assert [allowed.run for _, allowed in heard] == [False]
            assert heard[0][0] - asked < 1.0, "services hear of a pause within a second"
            assert (await client.resume()).run
            assert (await client.set_controls(Wishes(only_when_idle=True))).reason.startswith("Work waits")
            await client.tell_presence(Presence(session="1", idle_s=600, source="Mutter"))
            assert engine.controls.allowance().run
            with pytest.raises(UserFacingError, match="resume_temperature_c must be below"):
                await client.set_controls(Wishes.model_construct(max_temperature_c=50, resume_temperature_c=70))
            assert not (await client.set_sharing(False)).sharing
            assert engine.controls.allowance().reason == "Sharing is switched off."
            await client.set_sharing(True)
        await _on_the_command_line(str(home.root))
    finally:
        await engine.stop()


async def _on_the_command_line(home: str) -> None:
    code, output = await depin(
        *("controls", "set", "--home", home, "--cpu", "30", "--memory", "2GiB", "--also-in-use", "--card", "GPU-7=off"),
        *("--schedule", "00:00-24:00", "--exclusive", "game; film", "--max-temperature", "off", "--json"),
    )
    assert code == 0, output
    wishes = json.loads(output)["wishes"]
    assert (wishes["cpu_percent"], wishes["memory_bytes"]) == (30, 2 << 30)
    assert wishes["cards"] == {"GPU-7": {"use": False, "power_limit_w": None}}
    assert (wishes["exclusive_apps"], wishes["max_temperature_c"]) == (["game", "film"], None)
    code, output = await depin("controls", "snooze", "2h", "--home", home)
    assert code == 0
    assert output.startswith("You have paused work until ")
    assert "You have paused work" in (await depin("controls", "show", "--home", home))[1]
    assert "Work may run" in (await depin("controls", "resume", "--home", home))[1]
    code, output = await depin("controls", "show", "--home", home)
    assert "Work uses at most" in output
    assert "Work stops while game, film runs" in output
    for arguments, words in (
        (("--schedule", "whenever"), "is not a time of the week"),
        (("--cpu", "0"), "cpu_percent"),
        (("--card", "GPU-7"), "names no card"),
    ):
        code, output = await depin("controls", "set", "--home", home, *arguments)
        assert (code, words in output) == (1, True), output
