"""What this home has seen of providers, kept over sessions: standings, and answers that were agreed on.

Several processes of one home may buy at the same time. Each tells what happened; the rows are read, changed and written
in one transaction, so that none of it is lost.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from depin_desktop.api.models import Money
from depin_desktop.core.database import Database
from depin_desktop.customer.compute.asks import Ask
from depin_desktop.customer.compute.canaries import Canary, keep, recall, worth_keeping
from depin_desktop.customer.compute.hosts import HostKey
from depin_desktop.customer.compute.trust import Standing, Verdict

NAMESPACE = "compute_scores"
SCRIPTS = (
    """
    CREATE TABLE compute_standings (
        owner TEXT NOT NULL,
        kind TEXT NOT NULL,
        model TEXT NOT NULL,
        engine TEXT NOT NULL,
        streak INTEGER NOT NULL,
        right INTEGER NOT NULL,
        wrong INTEGER NOT NULL,
        unclear INTEGER NOT NULL,
        served INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        wrong_at REAL NOT NULL,
        rate REAL NOT NULL,
        spent TEXT NOT NULL,
        PRIMARY KEY (owner, kind, model, engine)
    );
    CREATE TABLE compute_canaries (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        model TEXT NOT NULL,
        ask TEXT NOT NULL,
        answer BLOB NOT NULL,
        kept_at REAL NOT NULL,
        UNIQUE (model, ask)
    );
    CREATE TABLE compute_canary_owners (
        canary INTEGER NOT NULL REFERENCES compute_canaries (id) ON DELETE CASCADE,
        owner TEXT NOT NULL,
        PRIMARY KEY (canary, owner)
    );
    """,
    """
    CREATE TABLE compute_spending (
        what TEXT PRIMARY KEY,
        amount TEXT NOT NULL
    );
    """,
)
MAX_CANARIES = 64  # of one model
RATE_MEMORY = 0.2  # the weight of the newest rate

Change = Callable[[Standing], Standing]


class Spent(StrEnum):
    """What money went for."""

    ANSWERS = "answers"
    CHECKS = "checks"


class Spending(BaseModel):
    """What this home has paid for computing, in base units."""

    model_config = ConfigDict(frozen=True)

    answers: Money = 0
    checks: Money = 0

    def may_check(self, cost: int, share: float) -> bool:
        """Whether a check of that cost keeps the checks within their share of everything."""
        return self.checks + cost <= share * (self.answers + self.checks + cost)

    def after(self, what: Spent, amount: int) -> Spending:
        """The sums once that much was paid."""
        return self.model_copy(update={what.value: getattr(self, what.value) + amount})


class ScoreRow(BaseModel):
    """One provider's standing with this customer, to be shown."""

    model_config = ConfigDict(frozen=True)

    owner: str
    kind: str
    model: str
    engine: str
    score: float
    streak: int
    right: int
    wrong: int
    unclear: int
    served: int
    failed: int
    rate: float
    spent: Money


@dataclass(frozen=True)
class _Told:
    key: HostKey
    change: Change


class Scores:
    """The standings of all hosts. Reading is at once; writing follows with `flush`."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._standings: dict[HostKey, Standing] = {}
        self._told: list[_Told] = []
        self._paid: list[tuple[Spent, int]] = []
        self.spending = Spending()

    async def open(self) -> None:
        """Makes the tables and reads what is there."""
        await self._database.migrate(NAMESPACE, SCRIPTS)
        rows = await self._database.rows("SELECT * FROM compute_standings")
        self._standings = {_key(row): _standing(row) for row in rows}
        self.spending = await self._database.run(_read_spending)

    def standing(self, key: HostKey) -> Standing:
        return self._standings.get(key, Standing())

    def rows(self) -> list[ScoreRow]:
        """Every standing, the best first."""
        found = [
            ScoreRow(
                owner=key.owner,
                kind=key.kind,
                model=key.model,
                engine=key.engine,
                score=seen.score,
                streak=seen.streak,
                right=seen.right,
                wrong=seen.wrong,
                unclear=seen.unclear,
                served=seen.served,
                failed=seen.failed,
                rate=seen.rate,
                spent=seen.spent,
            )
            for key, seen in self._standings.items()
        ]
        return sorted(found, key=lambda row: (-row.score, row.owner, row.kind))

    # --- telling what happened ---------------------------------------------------------------------------------------

    def served(self, key: HostKey, *, rate: float, charged: int, what: Spent = Spent.ANSWERS) -> None:
        """A job was answered, at `rate` units a second, for `charged` base units that were spent on `what`."""
        self._paid.append((what, charged))
        self.spending = self.spending.after(what, charged)

        def change(seen: Standing) -> Standing:
            mixed = rate if not seen.rate else seen.rate + RATE_MEMORY * (rate - seen.rate)
            return replace(seen, served=seen.served + 1, rate=mixed, spent=seen.spent + charged)

        self._tell(key, change)

    def failed(self, key: HostKey, *, charged: int = 0, what: Spent = Spent.ANSWERS) -> None:
        """A job was taken and not finished, although that much was paid for it."""
        self._paid.append((what, charged))
        self.spending = self.spending.after(what, charged)
        self._tell(key, lambda seen: replace(seen, failed=seen.failed + 1, spent=seen.spent + charged))

    def checked(self, key: HostKey, verdict: Verdict) -> None:
        """A check has ended."""
        now = self._clock()
        self._tell(key, lambda seen: seen.after(verdict, now))

    def _tell(self, key: HostKey, change: Change) -> None:
        self._standings[key] = change(self.standing(key))
        self._told.append(_Told(key, change))

    async def flush(self) -> None:
        """Writes what was told; call it now and then, and at the end."""
        told, self._told = self._told, []
        paid, self._paid = self._paid, []
        if not told:
            return

        def work(connection: sqlite3.Connection) -> tuple[dict[HostKey, Standing], Spending]:
            changed: dict[HostKey, Standing] = {}
            for event in told:
                before = changed.get(event.key) or _read(connection, event.key)
                changed[event.key] = event.change(before)
            for key, seen in changed.items():
                _write(connection, key, seen)
            return changed, _add_spending(connection, paid)

        written, spending = await self._database.run(work)
        later = [event for event in self._told if event.key in written]
        for event in later:  # told while this was being written
            written[event.key] = event.change(written[event.key])
        self._standings |= written
        for what, amount in self._paid:
            spending = spending.after(what, amount)
        self.spending = spending

    # --- canaries ----------------------------------------------------------------------------------------------------

    async def keep(self, ask: Ask, model: str, answer: bytes, owners: set[str]) -> None:
        """Keeps an answer on which `owners` have agreed, where it can serve as a canary."""
        text = keep(ask) if worth_keeping(ask) else None
        if text is None:
            return
        now = self._clock()

        def work(connection: sqlite3.Connection) -> None:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO compute_canaries (kind, model, ask, answer, kept_at) VALUES (?, ?, ?, ?, ?)",
                (ask.kind, model, text, answer, now),
            )
            if cursor.rowcount == 1:
                _know(connection, cursor.lastrowid or 0, owners)
            connection.execute(
                "DELETE FROM compute_canaries WHERE model = ? AND id NOT IN"
                " (SELECT id FROM compute_canaries WHERE model = ? ORDER BY id DESC LIMIT ?)",
                (model, model, MAX_CANARIES),
            )

        await self._database.run(work)

    async def canary(self, kind: str, model: str, owner: str) -> Canary | None:
        """A question about this model that `owner` has not been asked; it counts as asked from now on."""

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            row: sqlite3.Row | None = connection.execute(
                "SELECT * FROM compute_canaries WHERE kind = ? AND model = ? AND id NOT IN"
                " (SELECT canary FROM compute_canary_owners WHERE owner = ?) ORDER BY random() LIMIT 1",
                (kind, model, owner),
            ).fetchone()
            if row is not None:
                _know(connection, row["id"], {owner})
            return row

        row = await self._database.run(work)
        return None if row is None else Canary(recall(row["ask"]), row["answer"])


def _know(connection: sqlite3.Connection, canary: int, owners: set[str]) -> None:
    for owner in owners:
        connection.execute("INSERT OR IGNORE INTO compute_canary_owners VALUES (?, ?)", (canary, owner))


def _read(connection: sqlite3.Connection, key: HostKey) -> Standing:
    row = connection.execute(
        "SELECT * FROM compute_standings WHERE owner = ? AND kind = ? AND model = ? AND engine = ?", key
    ).fetchone()
    return Standing() if row is None else _standing(row)


def _read_spending(connection: sqlite3.Connection) -> Spending:
    rows = connection.execute("SELECT what, amount FROM compute_spending").fetchall()
    return Spending.model_validate({row["what"]: row["amount"] for row in rows})


def _add_spending(connection: sqlite3.Connection, paid: list[tuple[Spent, int]]) -> Spending:
    spending = _read_spending(connection)
    for what, amount in paid:
        spending = spending.after(what, amount)
    for what in Spent:
        amount = getattr(spending, what.value)
        connection.execute("INSERT OR REPLACE INTO compute_spending VALUES (?, ?)", (what.value, str(amount)))
    return spending


def _write(connection: sqlite3.Connection, key: HostKey, seen: Standing) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO compute_standings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *key,
            seen.streak,
            seen.right,
            seen.wrong,
            seen.unclear,
            seen.served,
            seen.failed,
            seen.wrong_at,
            seen.rate,
            str(seen.spent),
        ),
    )


def _key(row: sqlite3.Row) -> HostKey:
    return HostKey(row["owner"], row["kind"], row["model"], row["engine"])


def _standing(row: sqlite3.Row) -> Standing:
    return Standing(
        streak=row["streak"],
        right=row["right"],
        wrong=row["wrong"],
        unclear=row["unclear"],
        served=row["served"],
        failed=row["failed"],
        wrong_at=row["wrong_at"],
        rate=row["rate"],
        spent=int(row["spent"]),
    )
