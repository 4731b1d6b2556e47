"""What a customer keeps of its channels: what it signed, what it deposited, and which process may use which.

Several processes of one customer share the file. A channel is leased to one of them at a time; a total is raised in one
transaction that also checks the lease, before the voucher leaves. So two processes never sign for the same money, and a
crash at any point leaves at most a voucher that the provider never saw.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from depin_desktop.core.database import Database
from depin_desktop.payments.headers import ChannelConfig
from depin_desktop.payments.store import pad

NAMESPACE = "payer"
SCRIPTS = (
    """
    CREATE TABLE payer_channels (
        id BLOB PRIMARY KEY,
        provider TEXT NOT NULL,
        config TEXT NOT NULL,
        number INTEGER NOT NULL,
        balance TEXT NOT NULL,
        signed TEXT NOT NULL,
        paid TEXT NOT NULL,
        usable INTEGER NOT NULL DEFAULT 1,
        lease TEXT NOT NULL DEFAULT '',
        lease_until REAL NOT NULL DEFAULT 0
    );
    CREATE INDEX payer_channels_by_provider ON payer_channels (provider);
    CREATE TABLE payer_deposits (
        channel BLOB NOT NULL REFERENCES payer_channels (id),
        salt BLOB NOT NULL,
        amount TEXT NOT NULL,
        valid_before INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('signed', 'made', 'void')),
        PRIMARY KEY (channel, salt)
    );
    """,
)

LEASE_S = 60.0


@dataclass(frozen=True)
class PayerChannel:
    """One channel from its payer's side. Amounts in base units.

    Attributes:
        number: which of this payer's channels to the provider; it is the salt.
        balance: what was deposited and not given back, as the chain said last.
        signed: the highest total that this customer has signed and counts as used.
        paid: what providers' receipts say was charged.
    """

    id: bytes
    provider: str
    config: ChannelConfig
    number: int
    balance: int = 0
    signed: int = 0
    paid: int = 0
    usable: bool = True


@dataclass(frozen=True)
class DepositIntent:
    """An authorisation that was signed: it may have reached the chain, or still may until `valid_before`."""

    channel: bytes
    salt: bytes
    amount: int
    valid_before: int


class LeaseLost(Exception):
    """Another process took the channel over, because this one did not renew its lease in time."""


class PayerStore:
    """The rows, and this process's leases on them."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._in_use: set[bytes] = set()  # by accounts of this process

    async def open(self) -> None:
        await self._database.migrate(NAMESPACE, SCRIPTS)

    async def lease(
        self, provider: str, fits: Callable[[ChannelConfig], bool], create: Callable[[int], PayerChannel]
    ) -> PayerChannel:
        """A usable channel to `provider` that no other process and no other account holds, leased to this process.

        `let_go` frees it for this process's other accounts.

        Args:
            fits: whether a known channel still has the provider's present terms.
            create: makes a channel from its number where none fits.
        """
        now = self._clock()

        def work(connection: sqlite3.Connection) -> PayerChannel:
            rows = connection.execute(
                "SELECT * FROM payer_channels WHERE provider = ? ORDER BY number", (provider,)
            ).fetchall()
            for row in rows:
                free = row["lease"] in ("", self._holder) or row["lease_until"] < now
                if not free or not row["usable"] or row["id"] in self._in_use:
                    continue
                if fits((channel := _channel(row)).config):
                    self._hold(connection, channel.id, now)
                    return channel
            channel = create(len(rows))
            connection.execute(
                "INSERT INTO payer_channels (id, provider, config, number, balance, signed, paid)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    channel.id,
                    provider,
                    channel.config.model_dump_json(by_alias=True),
                    channel.number,
                    pad(channel.balance),
                    pad(channel.signed),
                    pad(channel.paid),
                ),
            )
            self._hold(connection, channel.id, now)
            return channel

        return await self._database.run(work)

    async def lease_one(self, channel: bytes) -> bool:
        """Leases a channel to this process where nobody uses it; `let_go` frees it again."""
        now = self._clock()

        def work(connection: sqlite3.Connection) -> bool:
            row = connection.execute(
                "SELECT lease, lease_until FROM payer_channels WHERE id = ?", (channel,)
            ).fetchone()
            free = row["lease"] in ("", self._holder) or row["lease_until"] < now
            if channel in self._in_use or not free:
                return False
            self._hold(connection, channel, now)
            return True

        return await self._database.run(work)

    def let_go(self, channel: bytes) -> None:
        """An account of this process uses the channel no more."""
        self._in_use.discard(channel)

    def _hold(self, connection: sqlite3.Connection, channel: bytes, now: float) -> None:
        self._in_use.add(channel)
        connection.execute(
            "UPDATE payer_channels SET lease = ?, lease_until = ? WHERE id = ?", (self._holder, now + LEASE_S, channel)
        )

    async def renew(self) -> None:
        """Extends every lease of this process; call it well within `LEASE_S`."""
        await self._database.execute(
            "UPDATE payer_channels SET lease_until = ? WHERE lease = ?", (self._clock() + LEASE_S, self._holder)
        )

    async def release(self) -> None:
        """Gives every lease of this process back."""
        await self._database.execute("UPDATE payer_channels SET lease = '' WHERE lease = ?", (self._holder,))

    async def save(self, channel: PayerChannel) -> PayerChannel:
        """Writes balance, totals and usability of a leased channel.

        Raises:
            LeaseLost: it is no longer leased to this process.
        """
        changed = await self._database.execute(
            "UPDATE payer_channels SET balance = ?, signed = ?, paid = ?, usable = ? WHERE id = ? AND lease = ?",
            (
                pad(channel.balance),
                pad(channel.signed),
                pad(channel.paid),
                channel.usable,
                channel.id,
                self._holder,
            ),
        )
        if changed != 1:
            raise LeaseLost
        return channel

    async def channels(self) -> list[PayerChannel]:
        """Every channel, usable or not."""
        return [_channel(row) for row in await self._database.rows("SELECT * FROM payer_channels ORDER BY provider")]

    # --- deposits -------------------------------------------------------------------------------------------------

    async def intend(self, intent: DepositIntent, limit: int | None) -> bool:
        """Remembers an authorisation before it leaves; False where all deposits together would pass `limit`.

        Looked at and written in one transaction: processes that share the file cannot pass the limit together.
        """

        def work(connection: sqlite3.Connection) -> bool:
            if limit is not None and _deposited(connection) + intent.amount > limit:
                return False
            connection.execute(
                "INSERT INTO payer_deposits VALUES (?, ?, ?, ?, 'signed')",
                (intent.channel, intent.salt, pad(intent.amount), intent.valid_before),
            )
            return True

        return await self._database.run(work)

    async def conclude(self, intent: DepositIntent, *, made: bool) -> None:
        """Notes that an authorisation was used on chain, or never can be any more."""
        await self._database.execute(
            "UPDATE payer_deposits SET state = ? WHERE channel = ? AND salt = ?",
            ("made" if made else "void", intent.channel, intent.salt),
        )

    async def open_intents(self, channel: bytes) -> list[DepositIntent]:
        """Authorisations of a channel whose fate is not known."""
        rows = await self._database.rows(
            "SELECT * FROM payer_deposits WHERE channel = ? AND state = 'signed'", (channel,)
        )
        return [DepositIntent(row["channel"], row["salt"], int(row["amount"]), row["valid_before"]) for row in rows]

    async def deposited(self) -> int:
        """Base units of all deposits that were made or still may be."""
        return await self._database.run(_deposited)


def _deposited(connection: sqlite3.Connection) -> int:
    rows = connection.execute("SELECT amount FROM payer_deposits WHERE state != 'void'")
    return sum(int(row["amount"]) for row in rows)


def _channel(row: sqlite3.Row) -> PayerChannel:
    return PayerChannel(
        id=row["id"],
        provider=row["provider"],
        config=ChannelConfig.model_validate_json(row["config"]),
        number=row["number"],
        balance=int(row["balance"]),
        signed=int(row["signed"]),
        paid=int(row["paid"]),
        usable=bool(row["usable"]),
    )
