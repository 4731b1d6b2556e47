"""The inventory as a whole: time-outs, hot-plug, and the text for a terminal."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from depin_desktop.api.models import Cpu, Disk, Gpu, Health, Inventory, Memory, ProbeProblem, Sensor
from depin_desktop.core.bus import EventBus
from depin_desktop.hardware import linux
from depin_desktop.hardware.disks import mounts
from depin_desktop.hardware.facts import Mount
from depin_desktop.hardware.inventory import Surveyor, take_inventory
from depin_desktop.hardware.probes import ProbeFailed, Prober
from depin_desktop.hardware.report import render
from depin_desktop.hardware.watch import HardwareWatch


async def test_the_inventory_of_this_machine_is_complete_and_survives_json() -> None:
    inventory = await take_inventory()
    assert inventory.problems == ()
    assert inventory.cpu.name
    assert inventory.memory.total_bytes > 0
    assert Inventory.model_validate_json(inventory.model_dump_json()) == inventory


async def test_a_hung_probe_is_a_problem_and_its_thread_is_not_started_twice() -> None:
    prober, release, started = Prober(), threading.Event(), []

    def hang() -> str:
        started.append(threading.current_thread())
        release.wait()
        return "back"

    for _ in range(3):
        with pytest.raises(ProbeFailed) as caught:
            await prober.ask("stuck", hang, timeout_s=0.02)
        assert caught.value.problem.probe == "stuck"
    assert len(started) == 1
    assert started[0].daemon, "a hung probe must not keep the process alive"
    assert prober.hung() == ("stuck",)
    waiting = asyncio.ensure_future(prober.ask("stuck", hang, timeout_s=60))
    await asyncio.sleep(0)  # it is now waiting for the run that hangs
    release.set()
    assert await waiting == "back"
    assert prober.hung() == ()


async def test_callers_at_the_same_time_share_one_run() -> None:
    prober, runs = Prober(), []
    gate = threading.Event()

    def work() -> int:
        runs.append(1)
        gate.wait()
        return len(runs)

    both = asyncio.gather(prober.ask("same", work, timeout_s=5), prober.ask("same", work, timeout_s=5))
    await asyncio.sleep(0)
    gate.set()
    assert await both == [1, 1]


@pytest.mark.parametrize(
    ("error", "words"), [(PermissionError(13, "Permission denied"), "Permission denied"), (KeyError("x"), "KeyError")]
)
async def test_a_failing_probe_is_a_problem_in_words(error: Exception, words: str) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(ProbeFailed, match=words):
        await Prober().ask("broken", fail, timeout_s=5)


@pytest.mark.skipif(sys.platform == "win32", reason="a named pipe stands for a dead mount")
async def test_a_dead_mount_does_not_hide_the_other_disks(tmp_path: Path) -> None:
    release = threading.Event()

    class Dead(Mount):
        """A mount whose path cannot be had before `release`, as the files of a server that is gone."""

        @property
        def path(self) -> str:  # type: ignore[override]
            if threading.current_thread().name.startswith("probe disk "):
                release.wait()
            return str(tmp_path)

        @path.setter
        def path(self, value: str) -> None:
            pass

    surveyor = Surveyor(timeout_s=1.0)
    before = await surveyor.take()
    inventory = await surveyor.take(lambda: [*mounts(), Dead("nas:/gone", str(tmp_path), "nfs4")])
    release.set()
    assert [disk.mount for disk in inventory.disks] == [disk.mount for disk in before.disks]
    assert [problem.probe for problem in inventory.problems] == [f"disk {tmp_path}"]


@pytest.mark.skipif(sys.platform != "linux", reason="lays out Linux's /sys")
async def test_hot_plug_is_noticed_and_published(tmp_path: Path) -> None:
    devices = tmp_path / "sys/bus/usb/devices"
    devices.mkdir(parents=True)
    bus = EventBus()
    watch = HardwareWatch(bus, look=lambda: linux.attached(tmp_path))
    with bus.subscribe() as events:
        await watch.start()
        first = await asyncio.wait_for(events.next(), 30)
        assert first.topic == "hardware"
        assert isinstance(first.data, Inventory)

        await watch.cycle.trigger_and_wait()
        assert watch.inventory is first.data, "nothing changed: nothing is published"

        (devices / "1-1").mkdir()
        await watch.cycle.trigger_and_wait()
        second = await asyncio.wait_for(events.next(), 30)
        assert second.data is watch.inventory
        assert second.data is not first.data
        await watch.stop()


async def test_a_look_costs_little() -> None:
    """At one look every five seconds, five milliseconds each would be a thousandth of a core."""
    from depin_desktop.hardware.watch import fingerprint

    fingerprint()
    began = time.process_time()
    for _ in range(20):
        fingerprint()
    assert (time.process_time() - began) / 20 < 0.005


def full_inventory() -> Inventory:
    return Inventory(
        taken_at=0,
        hostname="attic",
        system="Debian",
        cpu=Cpu(name="Acme 9", cores=8, threads=16, frequency_mhz=3600, load_percent=12, sha_extensions=True),
        memory=Memory(total_bytes=32_000_000_000, available_bytes=20_000_000_000),
        disks=(
            Disk(
                mount="/mnt/usb",
                device="/dev/sdb1",
                filesystem="ext4",
                total_bytes=2_000_000_000_000,
                free_bytes=1_420_000_000_000,
                removable=True,
                read_only=False,
                rotational=True,
                model="Acme Portable",
                health=Health.FAILING,
                health_detail="3 sectors cannot be read",
                temperature_c=38,
            ),
        ),
        gpus=(Gpu(index=0, uuid="x", name="Big", driver="600", memory_total_bytes=24 * 2**30, memory_used_bytes=0),),
        sensors=(Sensor(kind="fan", name="case", value=1200, unit="rpm"),),
        problems=(ProbeProblem(probe="disk /mnt/nas", message="No answer for 5 s."),),
    )


def test_the_report_says_everything_in_aligned_columns() -> None:
    text = render(full_inventory())
    assert "/mnt/usb  1.42 TB free of 2.00 TB  ext4  hard disk, removable" in text
    assert "FAILING, 38 °C (3 sectors cannot be read)  Acme Portable" in text
    assert "0: Big  0 B used of 25.8 GB" in text
    assert "disk /mnt/nas  No answer for 5 s." in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_the_report_says_what_is_absent() -> None:
    bare = full_inventory().model_copy(update={"disks": (), "gpus": (), "sensors": (), "problems": ()})
    text = render(bare)
    for sentence in ("No disk that", "No NVIDIA graphics card", "shows no sensors", "No network interface"):
        assert sentence in text
    assert "Could not be asked" not in text
    assert os.linesep * 3 not in text
