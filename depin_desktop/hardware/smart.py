"""A disk's own opinion of itself (SMART), through smartctl where it is installed and permitted.

A disk that sleeps is left asleep. Not being able to ask is an answer too: `Health.UNKNOWN`, with the reason in words.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any, NamedTuple

from depin_desktop.api.models import Health

TIMEOUT_S = 10.0
_REALLOCATED, _PENDING, _UNCORRECTABLE = 5, 197, 198  # ATA attribute numbers that foretell failure
_OPEN_FAILED = 0b10  # bit 1 of smartctl's exit status, see its manual


class SmartReading(NamedTuple):
    """What SMART says of one disk."""

    health: Health = Health.UNKNOWN
    detail: str = ""
    temperature_c: float | None = None
    model: str = ""


def find_smartctl() -> str | None:
    """The program's path. Distributions put it where only administrators look."""
    return shutil.which("smartctl", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))


def read_smart(device: str, program: str) -> SmartReading:
    """Asks `device` (a whole disk) and waits at most `TIMEOUT_S`.

    Raises:
        OSError: smartctl cannot be started.
    """
    command = [program, "--json=c", "--info", "--health", "--attributes", "--nocheck=standby", device]
    try:
        done = subprocess.run(  # noqa: S603 — a fixed program; the device comes from the kernel's list
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return SmartReading(detail="the disk did not answer SMART in time")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return SmartReading(detail="smartctl gave no readable answer")
    return interpret(answer) if isinstance(answer, dict) else SmartReading()


def interpret(answer: dict[str, Any]) -> SmartReading:
    """The meaning of smartctl's JSON (format 1.x), for ATA, NVMe and SCSI disks."""
    status = answer.get("smartctl", {}).get("exit_status", 0)
    messages = [str(message.get("string", "")) for message in answer.get("smartctl", {}).get("messages", ())]
    model = str(answer.get("model_name") or answer.get("scsi_model_name") or "")
    temperature = answer.get("temperature", {}).get("current")
    celsius = float(temperature) if isinstance(temperature, int | float) else None
    passed = answer.get("smart_status", {}).get("passed")
    if passed is None:
        return SmartReading(Health.UNKNOWN, _why_unknown(status, messages), celsius, model)
    worries, facts = _worries(answer), _facts(answer)
    if not passed:
        worries.insert(0, "the disk expects to fail: copy its data elsewhere")
    health = Health.OK if passed and not worries else Health.FAILING
    return SmartReading(health, ", ".join(worries or facts), celsius, model)


def _why_unknown(status: int, messages: list[str]) -> str:
    text = " ".join(messages).lower()
    if "permission" in text:
        return "reading SMART needs administrator rights"
    if "standby" in text or "sleep" in text:
        return "the disk sleeps"
    if status & _OPEN_FAILED or "unable to detect" in text or "unknown usb bridge" in text:
        return "the disk does not offer SMART"
    return "the disk says nothing of its health"


def _worries(answer: dict[str, Any]) -> list[str]:
    nvme = answer.get("nvme_smart_health_information_log", {})
    worries = []
    if nvme.get("critical_warning"):
        worries.append("the drive raises a critical warning")
    if nvme.get("media_errors"):
        worries.append(f"{nvme['media_errors']} media errors")
    raw = {
        row.get("id"): row.get("raw", {}).get("value", 0)
        for row in answer.get("ata_smart_attributes", {}).get("table", ())
    }
    # A few sectors moved long ago are no reason to worry; sectors that cannot be read are, from the first.
    if raw.get(_REALLOCATED, 0) >= 50:
        worries.append(f"{raw[_REALLOCATED]} sectors reallocated")
    unreadable = max(raw.get(_PENDING, 0), raw.get(_UNCORRECTABLE, 0))
    if unreadable:
        worries.append(f"{unreadable} sectors cannot be read")
    return worries


def _facts(answer: dict[str, Any]) -> list[str]:
    facts = []
    used = answer.get("nvme_smart_health_information_log", {}).get("percentage_used")
    if isinstance(used, int):
        facts.append(f"{used} % of its life used")
    hours = answer.get("power_on_time", {}).get("hours")
    if isinstance(hours, int):
        facts.append(f"{hours} h switched on")
    return facts
