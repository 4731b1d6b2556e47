"""Which jobs are under way, in a file that outlives this process: what was running when it was killed is told after.

A line where a job begins and one where it has ended, until its row is in the database. A line is one write into the
system's own memory, and nothing waits for the disk: SIGKILL loses none of it, a power cut may lose the last ones. Money
does not depend on it: what was charged is on disk with its voucher (`payments`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.api.compute import JobStatus
from depin_desktop.api.models import Money
from depin_desktop.services.compute.store import Ended

log = logging.getLogger(__name__)

NAME = "running.jsonl"
MAX_BYTES = 4 << 20
"""A longer file is written anew with what is still under way."""
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would change the ends of lines


class Line(BaseModel):
    """One line.

    Attributes:
        channel: of a beginning, what its customer pays by, in hex; `charged` is that channel's total then.
        ended: whether the job was over; the rest is as in `Ended`.
    """

    model_config = ConfigDict(frozen=True)

    job: JobStatus
    channel: str = ""
    charged: Money = 0
    ended: bool = False
    receipt: dict[str, Any] | None = None
    busy_s: float = 0.0
    energy_wh: float | None = None


@dataclass(frozen=True)
class Left:
    """What the process before this one has left behind.

    Attributes:
        ended: jobs that were over, and whose rows may be missing.
        begun: the beginnings of those that were not.
        alive_at: Unix seconds at which that process was last seen to live.
    """

    ended: Sequence[Ended] = ()
    begun: Sequence[Line] = ()
    alive_at: float = 0.0


class Journal:
    """The lines of one provider's jobs. Everything but `open` and `close` happens at once, within microseconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._lines: dict[str, bytes] = {}  # of each job that has no row yet, its newest
        self._size = 0

    def open(self) -> Left:
        """Opens the file and tells what is in it, which stays there until it is settled; reads the disk."""
        left = self._read()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._append_to_file()
        except OSError as error:
            log.warning("jobs cannot be noted in %s: %s", self._path, error)
        return left

    def _append_to_file(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _BINARY, 0o600)
        self._size = os.fstat(self._file).st_size
        if self._size:
            os.write(self._file, b"\n")  # the last line may have been cut short

    def _read(self) -> Left:
        try:
            data, alive_at = self._path.read_bytes(), self._path.stat().st_mtime
        except OSError:
            return Left()
        found: dict[str, Line] = {}
        for text in data.split(b"\n"):
            try:
                line = Line.model_validate_json(text)
            except ValidationError:
                continue  # empty, or cut short by a power cut
            found[line.job.id] = line
            self._lines[line.job.id] = text + b"\n"
        over = [Ended(it.job, it.receipt, it.busy_s, it.energy_wh) for it in found.values() if it.ended]
        return Left(over, [line for line in found.values() if not line.ended], alive_at)

    def begin(self, job: JobStatus, channel: bytes, charged: int) -> None:
        """A job begins, or begins anew elsewhere."""
        self._note(Line(job=job, channel=channel.hex(), charged=charged))

    def end(self, ended: Ended) -> None:
        """A job is over, and charged."""
        receipt = None if ended.receipt is None else dict(ended.receipt)
        self._note(Line(job=ended.job, ended=True, receipt=receipt, busy_s=ended.busy_s, energy_wh=ended.energy_wh))

    def _note(self, line: Line) -> None:
        text = line.model_dump_json(exclude_defaults=True).encode() + b"\n"
        self._lines[line.job.id] = text
        self._write(text)

    def alive(self) -> None:
        """Notes that jobs are still running; every few seconds, so that it is known until when they did."""
        if self._file is not None and self._lines:
            os.utime(self._path)

    def settle(self, jobs: Iterable[str]) -> None:
        """These jobs have their rows now."""
        for job in jobs:
            self._lines.pop(job, None)
        if self._file is None or not self._size:
            return
        try:
            if not self._lines:
                os.ftruncate(self._file, 0)
                self._size = 0
            elif self._size > MAX_BYTES:
                self._begin_anew()
        except OSError as error:
            log.warning("%s cannot be shortened: %s", self._path, error)

    def _begin_anew(self) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_bytes(b"".join(self._lines.values()))
        beside.chmod(0o600)
        self.close()  # an open file cannot be replaced everywhere
        try:
            os.replace(beside, self._path)
        finally:
            self._append_to_file()

    def _write(self, data: bytes) -> None:
        if self._file is None:
            return
        try:
            os.write(self._file, data)
            self._size += len(data)
        except OSError as error:  # a full disk, say: jobs are worth more than this file
            log.warning("a job cannot be noted in %s: %s", self._path, error)

    def close(self) -> None:
        """Closes the file; what is not settled stays in it."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
