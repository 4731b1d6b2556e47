"""Graphics cards of other makers: AMD's as Linux shows them in its files, Apple's as macOS reports them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depin_desktop.hardware.amdgpu import Amdgpu
from depin_desktop.hardware.apple import from_report

GIB = 2**30


def _write(folder: Path, files: dict[str, object]) -> None:
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")


def _radeon(root: Path, number: int = 1, slot: str = "0000:03:00.0", **files: object) -> Path:
    """A card's files, where the kernel puts them: the card is a link to its slot on the bus."""
    device = root / "sys/devices/pci0000:00" / slot
    base: dict[str, object] = {
        "vendor": "0x1002",
        "device": "0x744c",
        "revision": "0xc8",
        "mem_info_vram_total": 20 * GIB,
        "mem_info_vram_used": 3 * GIB,
        "gpu_busy_percent": 41,
        "unique_id": "a1b2c3",
        "hwmon/hwmon4/temp1_input": 58000,
        "hwmon/hwmon4/power1_average": 121000000,
        "hwmon/hwmon4/power1_cap": 315000000,
        "hwmon/hwmon4/power1_cap_min": 0,
        "hwmon/hwmon4/power1_cap_max": 346000000,
    }
    _write(device, base | files)
    card = root / f"sys/class/drm/card{number}"
    card.mkdir(parents=True)
    (card / "device").symlink_to(device)
    (root / f"sys/class/drm/card{number}-DP-1").mkdir()
    return device


def test_an_amd_card_is_read_in_the_units_of_the_model(tmp_path: Path) -> None:
    _radeon(tmp_path)
    _write(tmp_path, {"usr/share/libdrm/amdgpu.ids": "744C,\tC7,\tOther\n744C,\tC8,\tAMD Radeon RX 7900 XTX"})
    (gpu,), problems = Amdgpu(tmp_path).read()
    assert problems == ()
    assert (gpu.name, gpu.uuid) == ("AMD Radeon RX 7900 XTX", "AMD-a1b2c3")
    assert (gpu.memory_total_bytes, gpu.memory_used_bytes) == (20 * GIB, 3 * GIB)
    assert (gpu.utilisation_percent, gpu.temperature_c) == (41.0, 58.0)
    assert (gpu.power_w, gpu.power_limit_w, gpu.power_range_w) == (121.0, 315.0, (0.0, 346.0))
    assert gpu.driver.startswith("amdgpu")


def test_an_amd_card_that_measures_little_is_still_listed(tmp_path: Path) -> None:
    device = _radeon(tmp_path, slot="0000:09:00.0", unique_id="")
    for file in ("gpu_busy_percent", "unique_id", *(f"hwmon/hwmon4/{path.name}" for path in device.glob("hwmon/*/*"))):
        (device / file).unlink()
    (gpu,), _ = Amdgpu(tmp_path).read()
    assert (gpu.name, gpu.uuid) == ("AMD graphics 744C", "AMD-0000:09:00.0")
    assert (gpu.utilisation_percent, gpu.temperature_c, gpu.power_w, gpu.power_range_w) == (None, None, None, None)


def test_cards_of_others_and_machines_without_a_card_are_left_alone(tmp_path: Path) -> None:
    assert Amdgpu(tmp_path).read() == ((), ())
    _radeon(tmp_path, vendor="0x8086")
    assert Amdgpu(tmp_path).read() == ((), ())


def test_programs_on_an_amd_card_are_found_by_their_open_files(tmp_path: Path) -> None:
    _radeon(tmp_path)
    other_slot = "0000:0a:00.0"
    for pid, clients in ((50, ((3, 1, "0000:03:00.0"), (4, 1, "0000:03:00.0"), (5, 2, "0000:03:00.0"))), (51, ())):
        process = tmp_path / f"proc/{pid}"
        _write(process, {"comm": "blender"})
        (process / "fd").mkdir()
        for number, client, slot in (*clients, (9, 3, other_slot)):
            (process / f"fd/{number}").symlink_to("/dev/dri/renderD128")
            text = f"drm-driver:\tamdgpu\ndrm-pdev:\t{slot}\ndrm-client-id:\t{client}\ndrm-memory-vram:\t1024 KiB"
            _write(process, {f"fdinfo/{number}": text})
        (process / "fd/20").symlink_to("/tmp/file")
    (gpu,), _ = Amdgpu(tmp_path).read()
    assert [(process.pid, process.name, process.memory_bytes) for process in gpu.processes] == [
        (50, "blender", 2 << 20)
    ]


def test_what_macos_reports_becomes_a_card_and_what_it_hides_stays_unknown() -> None:
    report: dict[str, Any] = {
        "SPDisplaysDataType": [
            {
                "_name": "Apple M3 Pro",
                "spdisplays_vendor": "sppci_vendor_Apple",
                "sppci_model": "Apple M3 Pro",
                "sppci_cores": "18",
                "spdisplays_mtlgpufamilysupport": "spdisplays_metal3",
            },
            {"_name": "Intel UHD", "spdisplays_vendor": "Intel", "sppci_model": "Intel UHD"},
        ]
    }
    (gpu,), problems = from_report(report)
    assert problems == ()
    assert (gpu.name, gpu.uuid, gpu.driver) == ("Apple M3 Pro (18 cores)", "APPLE-0", "metal3")
    assert (gpu.memory_total_bytes, gpu.temperature_c, gpu.power_w) == (0, None, None)
    assert from_report({}) == ((), ())
