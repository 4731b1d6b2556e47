"""What a provider keeps of each channel: the newest voucher, what was charged, what was claimed, and hourly takings.

A charge and its voucher are one transaction, on disk before the answer leaves. Totals can only grow: the decision is
`Book.take`, and a trigger in the database refuses what would shrink them. Amounts are text, left-padded to 39 digits,
because SQLite's integers end at 2^63; so text order is the order of amounts.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from depin_desktop.core.database import Database
from depin_desktop.payments.book import Book
from depin_desktop.payments.headers import ChannelConfig, PaymentPayload

NAMESPACE = "payments"
SCRIPTS = (
    """
    CREATE TABLE payment_channels (
        id BLOB PRIMARY KEY,
        config TEXT NOT NULL,
        signed TEXT NOT NULL,
        signature BLOB NOT NULL,
        charged TEXT NOT NULL,
        gaps TEXT NOT NULL,
        balance TEXT NOT NULL,
        claimed TEXT NOT NULL,
        withdraw_at INTEGER NOT NULL,
        checked_at REAL NOT NULL,
        unclaimed_since REAL NOT NULL,
        CHECK (charged <= signed)
    );
    CREATE TRIGGER payment_totals_only_grow BEFORE UPDATE ON payment_channels
    WHEN NEW.signed < OLD.signed OR NEW.charged < OLD.charged
    BEGIN SELECT RAISE(ABORT, 'a channel''s totals only grow'); END;
    CREATE TABLE payment_takings (
        hour INTEGER NOT NULL,
        payer TEXT NOT NULL,
        what TEXT NOT NULL,
        amount TEXT NOT NULL,
        requests INTEGER NOT NULL,
        PRIMARY KEY (hour, payer, what)
    );
    CREATE TABLE payment_repeats (
        channel BLOB NOT NULL,
        total TEXT NOT NULL,
        identifier TEXT NOT NULL,
        request TEXT NOT NULL,
        at REAL NOT NULL,
        repeats INTEGER NOT NULL,
        PRIMARY KEY (channel, total)
    );
    """,
    """
    CREATE TABLE payment_relays (
        tx BLOB PRIMARY KEY,
        fee TEXT NOT NULL
    );
    """,
)

MAX_REPEATS = 2
REPEAT_WINDOW_S = 600
KEPT_REPEATS = 128


def pad(amount: int) -> str:
    return f"{amount:039d}"


@dataclass(frozen=True)
class Channel:
    """One channel as this provider knows it. Amounts in base units, times in Unix seconds.

    Attributes:
        balance: what was ever deposited and not withdrawn, on chain at `checked_at`.
        claimed: what this provider has claimed on chain.
        withdraw_at: when the payer began to withdraw; 0 when it has not.
        unclaimed_since: when the first voucher came that is not claimed yet; 0 when all are.
    """

    id: bytes
    config: ChannelConfig
    book: Book = field(default_factory=Book)
    signature: bytes = b""
    balance: int = 0
    claimed: int = 0
    withdraw_at: int = 0
    checked_at: float = 0
    unclaimed_since: float = 0

    @property
    def unclaimed(self) -> int:
        return max(0, self.book.charged - self.claimed)


@dataclass(frozen=True)
class Promise:
    """A verified voucher as the book takes it: it stands for the span [total - agreed, total) of the channel's money.

    Attributes:
        identifier: the payer's name for the payment, under which it may ask for the same once more.
    """

    total: int
    signature: bytes
    agreed: int
    identifier: str | None = None

    @property
    def start(self) -> int:
        return self.total - self.agreed

    @staticmethod
    def of(payment: PaymentPayload) -> Promise:
        voucher = payment.payload.voucher
        return Promise(voucher.max_claimable_amount, voucher.signature, payment.accepted.amount, payment.identifier)


@dataclass(frozen=True)
class Takings:
    """What one payer paid for one kind of thing (the description's first word) in the hour that begins at `at`."""

    at: float
    payer: str
    what: str
    amount: int
    requests: int


class Refused(Exception):
    """A voucher that cannot be charged; carries the channel as it stands."""

    def __init__(self, channel: Channel) -> None:
        super().__init__("voucher refused")
        self.channel = channel


class ChannelStore:
    """The rows of all channels, with the newest state of each in memory."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self.channels: dict[bytes, Channel] = {}
        self._writing: set[asyncio.Future[tuple[Channel, bool]]] = set()

    async def open(self) -> None:
        await self._database.migrate(NAMESPACE, SCRIPTS)
        rows = await self._database.rows("SELECT * FROM payment_channels")
        self.channels = {row["id"]: _channel(row) for row in rows}

    async def _run(self, work: Callable[[sqlite3.Connection], tuple[Channel, bool]]) -> tuple[Channel, bool]:
        """Runs `work` and keeps its channel, also when the caller is cancelled meanwhile: the rows are written then."""

        async def whole() -> tuple[Channel, bool]:
            channel, repeated = await self._database.run(work)
            return self._keep(channel), repeated

        writing = asyncio.ensure_future(whole())
        self._writing.add(writing)
        writing.add_done_callback(self._written)
        return await asyncio.shield(writing)

    def _written(self, writing: asyncio.Future[tuple[Channel, bool]]) -> None:
        self._writing.discard(writing)
        if not writing.cancelled():
            writing.exception()  # whoever waits gets it

    async def remember(self, channel: Channel) -> Channel:
        """Writes the chain's side of a channel (balance, claimed, withdrawal); the totals stay as they are."""

        def work(connection: sqlite3.Connection) -> tuple[Channel, bool]:
            current = _read(connection, channel.id) or channel
            merged = replace(
                current,
                balance=channel.balance,
                claimed=channel.claimed,
                withdraw_at=channel.withdraw_at,
                checked_at=channel.checked_at,
            )
            if merged.unclaimed == 0:
                merged = replace(merged, unclaimed_since=0)
            _write(connection, merged)
            return merged, False

        return (await self._run(work))[0]

    async def charge(
        self, channel: Channel, promise: Promise, price: int, what: str, request: str
    ) -> tuple[Channel, bool]:
        """Charges `price` under a verified voucher and returns the channel once that is on disk.

        The second value is True when an already charged voucher was accepted once more: the same request under the same
        payment identifier, whose first answer may have been lost. Nothing is charged then.

        Raises:
            Refused: the voucher's interval is not free.
        """
        now, total, identifier = self._clock(), promise.total, promise.identifier

        def work(connection: sqlite3.Connection) -> tuple[Channel, bool]:
            current = _read(connection, channel.id) or channel
            book = current.book.take(total, price, promise.agreed)
            if book is None:
                if identifier and _repeat(connection, channel.id, total, identifier, request, now):
                    return current, True
                raise Refused(current)
            newer = book.signed > current.book.signed or not current.signature
            newest = promise.signature if newer else current.signature
            since = current.unclaimed_since or (now if price else 0)
            charged = replace(current, book=book, signature=newest, unclaimed_since=since)
            _write(connection, charged)
            if price:
                _take(connection, now, charged.config.payer, what.partition(" ")[0], price)
            if identifier:
                _allow_repeat(connection, channel.id, total, identifier, request, now)
            return charged, False

        return await self._run(work)

    def _keep(self, channel: Channel) -> Channel:
        known = self.channels.get(channel.id)
        # Two transactions may return to the loop in either order; the totals tell which is newer.
        if known is None or channel.book.charged >= known.book.charged:
            self.channels[channel.id] = channel
        return self.channels[channel.id]

    async def takings(self, since: float = 0) -> list[Takings]:
        """What was charged in the hours that begin at `since` or later, oldest first."""
        rows = await self._database.rows(
            "SELECT * FROM payment_takings WHERE hour >= ? ORDER BY hour, payer, what", (int(since // 3600),)
        )
        return [
            Takings(row["hour"] * 3600.0, row["payer"], row["what"], int(row["amount"]), row["requests"])
            for row in rows
        ]

    async def note_relay(self, transaction: bytes, fee: int) -> None:
        """Remembers what a relayer took for a transaction, in base units."""
        await self._database.execute("INSERT OR REPLACE INTO payment_relays VALUES (?, ?)", (transaction, pad(fee)))

    async def relay_fees(self) -> dict[str, int]:
        """What relayers took, in base units, by the transaction (0x…) that they sent."""
        rows = await self._database.rows("SELECT tx, fee FROM payment_relays")
        return {"0x" + row["tx"].hex(): int(row["fee"]) for row in rows}


def _read(connection: sqlite3.Connection, channel: bytes) -> Channel | None:
    row = connection.execute("SELECT * FROM payment_channels WHERE id = ?", (channel,)).fetchone()
    return None if row is None else _channel(row)


def _channel(row: sqlite3.Row) -> Channel:
    gaps = tuple((int(low), int(high)) for low, high in json.loads(row["gaps"]))
    return Channel(
        id=row["id"],
        config=ChannelConfig.model_validate_json(row["config"]),
        book=Book(int(row["signed"]), int(row["charged"]), gaps),
        signature=row["signature"],
        balance=int(row["balance"]),
        claimed=int(row["claimed"]),
        withdraw_at=row["withdraw_at"],
        checked_at=row["checked_at"],
        unclaimed_since=row["unclaimed_since"],
    )


def _write(connection: sqlite3.Connection, channel: Channel) -> None:
    connection.execute(
        "INSERT INTO payment_channels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " signed = excluded.signed, signature = excluded.signature, charged = excluded.charged, gaps = excluded.gaps,"
        " balance = excluded.balance, claimed = excluded.claimed, withdraw_at = excluded.withdraw_at,"
        " checked_at = excluded.checked_at, unclaimed_since = excluded.unclaimed_since",
        (
            channel.id,
            channel.config.model_dump_json(by_alias=True),
            pad(channel.book.signed),
            channel.signature,
            pad(channel.book.charged),
            json.dumps([[str(low), str(high)] for low, high in channel.book.gaps]),
            pad(channel.balance),
            pad(channel.claimed),
            channel.withdraw_at,
            channel.checked_at,
            channel.unclaimed_since,
        ),
    )


def _take(connection: sqlite3.Connection, now: float, payer: str, what: str, amount: int) -> None:
    key = (int(now // 3600), payer, what)
    row = connection.execute(
        "SELECT amount FROM payment_takings WHERE hour = ? AND payer = ? AND what = ?", key
    ).fetchone()
    total = amount + (int(row["amount"]) if row else 0)
    connection.execute(
        "INSERT INTO payment_takings VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET"
        " amount = excluded.amount, requests = requests + 1",
        (*key, pad(total)),
    )


def _allow_repeat(
    connection: sqlite3.Connection, channel: bytes, total: int, identifier: str, request: str, now: float
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO payment_repeats VALUES (?, ?, ?, ?, ?, 0)",
        (channel, pad(total), identifier, request, now),
    )
    connection.execute(
        "DELETE FROM payment_repeats WHERE channel = ? AND total NOT IN"
        " (SELECT total FROM payment_repeats WHERE channel = ? ORDER BY total DESC LIMIT ?)",
        (channel, channel, KEPT_REPEATS),
    )


def _repeat(
    connection: sqlite3.Connection, channel: bytes, total: int, identifier: str, request: str, now: float
) -> bool:
    changed = connection.execute(
        "UPDATE payment_repeats SET repeats = repeats + 1 WHERE channel = ? AND total = ? AND identifier = ?"
        " AND request = ? AND repeats < ? AND at > ?",
        (channel, pad(total), identifier, request, MAX_REPEATS, now - REPEAT_WINDOW_S),
    )
    return changed.rowcount == 1
