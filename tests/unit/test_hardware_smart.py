"""SMART: what smartctl's answers mean, and that being unable to ask is an answer too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.api.models import Health
from depin_desktop.hardware.smart import find_smartctl, interpret, read_smart

NVME: dict[str, Any] = {
    "smartctl": {"exit_status": 0},
    "model_name": "Acme NVMe 1TB",
    "smart_status": {"passed": True},
    "temperature": {"current": 41},
    "power_on_time": {"hours": 5213},
    "nvme_smart_health_information_log": {"critical_warning": 0, "percentage_used": 3, "media_errors": 0},
}


def ata(*, passed: bool = True, **raw: int) -> dict[str, Any]:
    ids = {"reallocated": 5, "pending": 197, "uncorrectable": 198}
    table = [{"id": ids[name], "raw": {"value": value}} for name, value in raw.items()]
    return {"smart_status": {"passed": passed}, "ata_smart_attributes": {"table": table}}


def test_a_healthy_drive_tells_its_age_and_wear() -> None:
    reading = interpret(NVME)
    assert reading == (Health.OK, "3 % of its life used, 5213 h switched on", 41.0, "Acme NVMe 1TB")


@pytest.mark.parametrize(
    ("answer", "health", "words"),
    [
        (ata(reallocated=3), Health.OK, ""),
        (ata(reallocated=80), Health.FAILING, "80 sectors reallocated"),
        (ata(pending=1, uncorrectable=2), Health.FAILING, "2 sectors cannot be read"),
        (ata(passed=False), Health.FAILING, "expects to fail"),
        (
            {**NVME, "nvme_smart_health_information_log": {"critical_warning": 4, "media_errors": 7}},
            Health.FAILING,
            "critical warning, 7 media errors",
        ),
    ],
)
def test_signs_of_failure_are_named(answer: dict[str, Any], health: Health, words: str) -> None:
    reading = interpret(answer)
    assert reading.health is health
    assert words in reading.detail


@pytest.mark.parametrize(
    ("message", "status", "words"),
    [
        ("Smartctl open device: /dev/sda failed: Permission denied", 2, "administrator"),
        ("/dev/vda: Unable to detect device type", 1, "does not offer SMART"),
        ("Device is in STANDBY mode, exit(2)", 2, "sleeps"),
        ("", 0, "says nothing"),
    ],
)
def test_why_a_disk_is_not_judged_is_said(message: str, status: int, words: str) -> None:
    reading = interpret({"smartctl": {"exit_status": status, "messages": [{"string": message}]}})
    assert reading.health is Health.UNKNOWN
    assert words in reading.detail


@pytest.mark.skipif(sys.platform != "linux", reason="names a Linux device")
def test_the_real_program_answers_for_a_device_that_is_none() -> None:
    program = find_smartctl()
    if program is None:
        pytest.skip("smartctl is not installed")
    assert read_smart("/dev/null", program).health is Health.UNKNOWN


def test_a_program_that_prints_nonsense_is_no_crash(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("a shell script stands for the program")
    program = tmp_path / "smartctl"
    program.write_text("#!/bin/sh\necho segmentation fault\n")
    program.chmod(0o755)
    assert read_smart("/dev/sda", str(program)).health is Health.UNKNOWN
