"""The samples' machine: what it has, and what the owner's controls would read of it."""

from __future__ import annotations

from depin_desktop.api.models import Cpu, Disk, Gpu, Health, Inventory, Memory, NetworkInterface, Sensor
from depin_desktop.controls.observer import Sources
from depin_desktop.controls.sessions import Idle
from depin_desktop.hardware.gpus import GpuReading

NOW = 1_763_840_460.0
GB = 10**9


def inventory(**changes: object) -> Inventory:
    base: dict[str, object] = {
        "taken_at": NOW - 42,
        "hostname": "kitchen",
        "system": "Debian GNU/Linux 12",
        "cpu": Cpu(
            name="AMD Ryzen 7 7840U", cores=8, threads=16, frequency_mhz=3300, load_percent=12, sha_extensions=True
        ),
        "memory": Memory(total_bytes=32 * GB, available_bytes=19 * GB),
        "disks": (
            disk("/", "/dev/nvme0n1p2", "ext4", 512, 201, model="Samsung 990 PRO", health=Health.OK),
            disk("/mnt/data", "/dev/sda1", "ext4", 2000, 720, model="WD Red SA500", health=Health.OK),
            disk("/media/backup", "/dev/sdb1", "exfat", 1000, 320, removable=True, temperature_c=41.0),
        ),
        "gpus": (
            Gpu(
                index=0,
                uuid="GPU-1",
                name="NVIDIA GeForce RTX 4070",
                driver="550.90",
                memory_total_bytes=12 * GB,
                memory_used_bytes=int(1.4 * GB),
                utilisation_percent=7,
                temperature_c=46,
                power_w=18,
            ),
        ),
        "sensors": (
            Sensor(kind="temperature", name="CPU", value=52.0, unit="°C", detail="k10temp"),
            Sensor(kind="fan", name="Fan", value=1180.0, unit="rpm"),
            Sensor(kind="gps", name="u-blox 8", detail="/dev/ttyACM0"),
        ),
        "interfaces": (
            NetworkInterface(name="eth0", addresses=("192.0.2.14",), speed_mbit=1000),
            NetworkInterface(name="wlan0", up=False),
        ),
    }
    return Inventory(**(base | changes))  # type: ignore[arg-type]


def sources() -> Sources:
    """What the controls of that machine would read."""
    return Sources(
        cards=lambda: GpuReading(inventory().gpus),
        set_power_limit=lambda uuid, watts: None,
        temperature=lambda: 52.0,
        battery=lambda: False,
        others=lambda: 4.0,
        running=lambda names: (),
        idle=lambda: Idle(None, "no desktop app is open to tell"),
        own_pids=frozenset[int],
    )


def disk(mount: str, device: str, filesystem: str, total: int, free: int, **more: object) -> Disk:
    base: dict[str, object] = {
        "mount": mount,
        "device": device,
        "filesystem": filesystem,
        "total_bytes": total * GB,
        "free_bytes": free * GB,
        "removable": False,
        "read_only": False,
    }
    return Disk.model_validate(base | more)
