"""The rows of jobs, receipts, choices and what each device has earned, in SQLite.

A job is written once, when it has ended, together with its receipt and its device's sums; until then it is in the
`journal`. Money is on disk before that, with the voucher (`payments`): these rows say what it was for.
"""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from depin_desktop.api.compute import DeviceEarnings, JobOutcome, JobStatus
from depin_desktop.core.database import Database

NAMESPACE = "compute"
KEPT_JOBS = 10_000

SCHEMA = [
    """
    CREATE TABLE compute_choices (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    );
    CREATE TABLE compute_jobs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        model TEXT NOT NULL,
        customer TEXT NOT NULL,
        device TEXT NOT NULL,
        outcome TEXT NOT NULL,
        queued_at REAL NOT NULL,
        started_at REAL,
        ended_at REAL,
        prompt_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        fuel INTEGER NOT NULL,
        seconds REAL NOT NULL,
        earned TEXT NOT NULL,
        log TEXT NOT NULL
    );
    CREATE TABLE compute_receipts (
        job TEXT PRIMARY KEY,
        receipt TEXT NOT NULL
    );
    CREATE TABLE compute_devices (
        device TEXT NOT NULL,
        day TEXT NOT NULL,
        jobs INTEGER NOT NULL,
        busy_s REAL NOT NULL,
        earned TEXT NOT NULL,
        energy_wh REAL,
        PRIMARY KEY (device, day)
    );
    """
]


@dataclass(frozen=True)
class Ended:
    """A job that has ended; `receipt` is its signed JSON where there is one, `energy_wh` None where it is unknown."""

    job: JobStatus
    receipt: Mapping[str, Any] | None = None
    busy_s: float = 0.0
    energy_wh: float | None = None


@dataclass(frozen=True)
class Books:
    """What the rows say: the newest jobs first, how many there ever were, and each device's sums."""

    jobs: tuple[JobStatus, ...] = ()
    done_total: int = 0
    devices: tuple[DeviceEarnings, ...] = field(default=())

    @property
    def last_job_at(self) -> float | None:
        known = (job.ended_at for job in self.jobs if job.outcome is not JobOutcome.INTERRUPTED)
        return max((at for at in known if at is not None), default=None)


class JobStore:
    """Jobs, receipts and choices of one provider."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> None:
        """Makes or migrates the service's tables."""
        await self._database.migrate(NAMESPACE, SCHEMA)

    # --- choices

    async def choices(self) -> dict[str, str]:
        return {row["name"]: row["value"] for row in await self._database.rows("SELECT * FROM compute_choices")}

    async def choose(self, choices: Mapping[str, str]) -> None:
        """Keeps these; what is not named stays."""
        await self._database.run(
            lambda connection: connection.executemany(
                "INSERT INTO compute_choices VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                list(choices.items()),
            )
        )

    # --- jobs

    async def record(self, ended: Sequence[Ended]) -> None:
        """Writes jobs that have ended, all or none; on disk when this returns."""

        def work(connection: sqlite3.Connection) -> None:
            for one in ended:
                _write(connection, one)
            newest = connection.execute("SELECT MAX(number) FROM compute_jobs").fetchone()[0] or 0
            gone = "(SELECT id FROM compute_jobs WHERE number <= ?)"
            connection.execute(f"DELETE FROM compute_receipts WHERE job IN {gone}", (newest - KEPT_JOBS,))  # noqa: S608
            connection.execute("DELETE FROM compute_jobs WHERE number <= ?", (newest - KEPT_JOBS,))

        await self._database.run(work)

    async def missing(self, jobs: Sequence[str]) -> set[str]:
        """Those of these jobs that have no row."""
        marks = ", ".join("?" * len(jobs))
        rows = await self._database.rows(f"SELECT id FROM compute_jobs WHERE id IN ({marks})", jobs)  # noqa: S608
        return set(jobs) - {row["id"] for row in rows}

    async def receipt(self, job: str) -> dict[str, Any] | None:
        """A job's signed receipt."""
        row = await self._database.row("SELECT receipt FROM compute_receipts WHERE job = ?", (job,))
        return None if row is None else dict(json.loads(row["receipt"]))

    async def books(self, now: float, limit: int) -> Books:
        """The newest `limit` jobs and all sums."""
        jobs = await self._database.rows("SELECT * FROM compute_jobs ORDER BY number DESC LIMIT ?", (limit,))
        devices = await self._database.rows("SELECT * FROM compute_devices ORDER BY device, day")
        summed = _sums(devices, _day(now))
        return Books(tuple(_job(row) for row in jobs), sum(one.jobs for one in summed), summed)


def _write(connection: sqlite3.Connection, ended: Ended) -> None:
    job = ended.job
    values = (
        *(job.id, job.kind, job.model, job.customer, job.device, job.outcome.value),
        *(job.queued_at, job.started_at, job.ended_at),
        *(job.prompt_tokens, job.completion_tokens, job.fuel, job.seconds, str(job.earned), job.log),
    )
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO compute_jobs VALUES (NULL, {marks})", values)  # noqa: S608 (question marks)
    if ended.receipt is not None:
        connection.execute("INSERT INTO compute_receipts VALUES (?, ?)", (job.id, json.dumps(ended.receipt)))
    key = job.device, _day(job.ended_at or job.queued_at)
    row = connection.execute("SELECT * FROM compute_devices WHERE device = ? AND day = ?", key).fetchone()
    earned = job.earned + (int(row["earned"]) if row else 0)
    known = row["energy_wh"] if row else None
    energy = known if ended.energy_wh is None else (known or 0.0) + ended.energy_wh
    connection.execute(
        "INSERT OR REPLACE INTO compute_devices VALUES (?, ?, ?, ?, ?, ?)",
        (
            *key,
            (row["jobs"] if row else 0) + (job.outcome is JobOutcome.DONE),
            (row["busy_s"] if row else 0.0) + ended.busy_s,
            str(earned),
            energy,
        ),
    )


def _sums(rows: Sequence[sqlite3.Row], today: str) -> tuple[DeviceEarnings, ...]:
    found: dict[str, DeviceEarnings] = {}
    for row in rows:
        before = found.get(row["device"], DeviceEarnings(device=row["device"]))
        earned, energy = int(row["earned"]), row["energy_wh"]
        found[row["device"]] = DeviceEarnings(
            device=row["device"],
            jobs=before.jobs + row["jobs"],
            busy_s=before.busy_s + row["busy_s"],
            earned_today=before.earned_today + (earned if row["day"] == today else 0),
            earned_total=before.earned_total + earned,
            energy_wh=before.energy_wh if energy is None else (before.energy_wh or 0.0) + energy,
        )
    return tuple(found.values())


def _day(at: float) -> str:
    """The local day of a moment, as the owner's earnings are counted."""
    return datetime.datetime.fromtimestamp(at).date().isoformat()


def _job(row: sqlite3.Row) -> JobStatus:
    fields = {name: row[name] for name in row.keys() if name != "number"}  # noqa: SIM118 (a Row iterates over values)
    return JobStatus(**fields)
