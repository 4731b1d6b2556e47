"""Graphics cards: what is asked of NVML, and what its faults become."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.hardware.gpus import read_gpus

# NVML is loaded once per process by its name, so each scenario runs in one of its own.
_ALL_FAULTS = """
import asyncio, json, os, threading
from pathlib import Path
from depin_desktop.hardware.inventory import Surveyor
from depin_desktop.core.errors import UserFacingError
from depin_desktop.hardware.gpus import Gpus, read_gpus
from depin_desktop.hardware.probes import ProbeFailed, Prober

fault = Path(os.environ["NVML_DOUBLE"])
seen = {}
for name in ("none", "lost", "gone", "no-driver", "mismatch", "none"):
    fault.write_text(name)
    reading = read_gpus()
    seen[name] = [[gpu.model_dump() for gpu in reading.gpus], reading.problems]

async def hang():
    fault.write_text("hang")
    prober = Prober()
    outcomes = []
    for _ in range(3):
        try:
            await prober.ask("graphics", read_gpus, timeout_s=0.05)
        except ProbeFailed as failed:
            outcomes.append(failed.problem.message)
    threads = sum(thread.name == "probe graphics" for thread in threading.enumerate())
    fault.write_text("none")
    while prober.hung():
        await asyncio.sleep(0.005)
    reading = await prober.ask("graphics", read_gpus, timeout_s=5)
    seen["hang"] = [outcomes, threads, len(reading.gpus)]
    seen["inventory"] = [gpu.name for gpu in (await Surveyor().take()).gpus]

asyncio.run(hang())

def outcome(gpus, *limit):
    try:
        gpus.set_power_limit(*limit)
    except UserFacingError as error:
        return error.code
    return gpus.read().gpus[0].power_limit_w

gpus = Gpus()
seen["own"] = os.getpid()
seen["again"] = [[[process.model_dump() for process in gpus.read().gpus[0].processes] for _ in range(2)]]
limits = [("GPU-0", 200.0), ("GPU-0", None), ("GPU-0", 999.0), ("GPU-9", 200.0), ("GPU-1", 200.0), ("AMD-1", 200.0)]
seen["limits"] = [outcome(gpus, *limit) for limit in limits]
fault.write_text("no-permission")
seen["limits"].append(outcome(gpus, "GPU-0", 200.0))
lives = []
for name in ("none", "gone", "none", "lost", "none"):
    fault.write_text(name)
    reading = gpus.read()
    lives.append([len(reading.gpus), len(reading.problems)])
seen["lives"] = lives
gpus.close()
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the probe made of each fault, with a library of our own in NVML's place."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler, to build a library in NVML's place")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("nvml_double.c")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder), "NVML_DOUBLE": str(folder / "fault")}
    done = subprocess.run(
        [sys.executable, "-c", _ALL_FAULTS], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_machine_without_nvml_has_no_cards_and_no_problem() -> None:
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has an NVIDIA driver")
    assert read_gpus() == ((), ())


def test_every_value_of_a_card_is_read_in_the_units_of_the_model(seen: dict[str, Any]) -> None:
    big = seen["none"][0][0]
    del big["processes"]
    assert big == {
        "index": 0,
        "uuid": "GPU-0",
        "name": "Big Card",
        "driver": "600.12",
        "memory_total_bytes": 24 << 30,
        "memory_used_bytes": 6 << 30,
        "utilisation_percent": 37.0,
        "temperature_c": 63.0,
        "power_w": 183.5,
        "power_limit_w": 350.0,
        "power_range_w": [100.0, 400.0],
    }


def test_programs_on_a_card_have_their_memory_and_their_share_of_its_time(seen: dict[str, Any]) -> None:
    first, second = seen["again"][0]
    assert [process["pid"] for process in first] == [1, seen["own"]]
    assert all(process["name"] for process in first)
    assert [process["memory_bytes"] for process in first] == [None, 2 << 30]
    assert [process["utilisation_percent"] for process in first] == [None, 30.0]
    assert [process["utilisation_percent"] for process in second] == [None, None], "nothing was sampled in between"


def test_a_power_limit_is_set_taken_back_or_refused_in_words(seen: dict[str, Any]) -> None:
    unsupported = "power-limit-unsupported"
    assert seen["limits"] == [
        *(200.0, 350.0, "power-limit-range"),
        *(unsupported, unsupported, unsupported),
        "power-limit-permission",
    ]


def test_one_who_keeps_asking_survives_a_driver_that_goes_and_comes_back(seen: dict[str, Any]) -> None:
    assert seen["lives"] == [[2, 0], [0, 1], [2, 0], [1, 1], [2, 0]]


def test_what_a_card_does_not_measure_is_none(seen: dict[str, Any]) -> None:
    small = seen["none"][0][1]
    assert small["name"] == "Small Card"
    assert small["memory_total_bytes"] == 0
    assert (small["utilisation_percent"], small["power_w"], small["power_limit_w"]) == (None, None, None)


def test_a_card_that_vanishes_while_asked_leaves_the_other_listed(seen: dict[str, Any]) -> None:
    gpus, problems = seen["lost"]
    assert [gpu["name"] for gpu in gpus] == ["Big Card"]
    assert len(problems) == 1
    assert problems[0].startswith("Graphics card 1 does not answer")


@pytest.mark.parametrize(
    ("fault", "words"), [("gone", "stopped answering"), ("no-driver", "not running"), ("mismatch", "restart")]
)
def test_a_driver_that_fails_is_a_problem_in_words(seen: dict[str, Any], fault: str, words: str) -> None:
    gpus, problems = seen[fault]
    assert gpus == []
    assert words in problems[0]


def test_a_hanging_driver_is_reported_asked_once_and_used_again_when_it_returns(seen: dict[str, Any]) -> None:
    outcomes, threads, cards_afterwards = seen["hang"]
    assert len(outcomes) == 3
    assert all(message.startswith("No answer for") for message in outcomes)
    assert threads == 1
    assert cards_afterwards == 2


def test_the_inventory_lists_the_cards(seen: dict[str, Any]) -> None:
    assert seen["inventory"] == ["Big Card", "Small Card"]
