"""`dev.py screenshots`: the pictures in the README, taken from the real app over a network with neighbours."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from tools.dev.places import PYTHON, ROOT, shown
from tools.dev.processes import POLL_S, Family
from tools.dev.run import AT_HOME, DEPIN, HOME, only_one, start_node, stop
from tools.dev.say import complain, say
from tools.dev.testing import set_up_for_tests

FOLDER = ROOT / "docs" / "screenshots"
EARNING_S = 240.0  # how long the neighbours may take to pay for something


def take() -> int:
    """Starts a node as `run` does, lets it earn, and saves the app's pages to `docs/screenshots`."""
    set_up_for_tests()
    with only_one():
        family = Family()
        try:
            start_node(family)
            say("waiting until every service has earned something")
            if not _earns(family):
                complain("Nothing was earned in time; the pictures show a node that waits.")
            say(f"taking the pictures into {shown(FOLDER)}")
            script: list[str | Path] = [PYTHON, ROOT / "tools" / "screenshots.py", "--home", HOME, "--out", FOLDER]
            return family.run(script, env={"QT_QPA_PLATFORM": "offscreen"})
        finally:
            stop(family)


def _earns(family: Family) -> bool:
    deadline = time.monotonic() + EARNING_S
    while time.monotonic() < deadline:
        asked = subprocess.run(
            [*map(str, DEPIN), "status", "--json"],
            env={**os.environ, **AT_HOME},
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        if asked.returncode == 0 and all(int(told["earned_total"]) for told in json.loads(asked.stdout)["services"]):
            return True
        family.bury()
        time.sleep(POLL_S * 20)
    return False
