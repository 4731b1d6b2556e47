"""The rows of what is under contract: data sets, their pieces, and the outcome of every proving period.

They repeat the chain's state as it was last seen, so that the node knows at its start what it must keep and prove.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from depin_desktop.api.models import ProofRecord
from depin_desktop.core.database import Database


class SetState(StrEnum):
    """Where a data set is in its life."""

    OPENING = "opening"  # being sent to the chain
    ACTIVE = "active"
    UNFUNDED = "unfunded"  # its escrow does not pay the next period in full
    ENDING = "ending"  # this period is its last one
    ENDED = "ended"


@dataclass(frozen=True)
class DataSet:
    """One customer's data set; `id` is 64 hexadecimal digits, money in base units.

    Attributes:
        ends_after: the last period that is challenged and paid, None while nobody ended it and it has not expired.
        first_due: the first period whose proof is owed; None before pieces were added.
        proven_period: the last period that the chain has as proven; `proven_at` when we learned of it.
    """

    id: str
    customer: str
    price: int
    expires: int
    state: SetState
    escrow: int = 0
    paid: int = 0
    ends_after: int | None = None
    first_due: int | None = None
    proven_period: int | None = None
    proven_at: float | None = None


@dataclass(frozen=True)
class SetPiece:
    """A piece's place in a data set."""

    piece_id: int
    root: str
    leaf_count: int
    live: bool = True


@dataclass(frozen=True)
class Outcome:
    """How one data set's period ended."""

    period: int
    set_id: str
    proven: bool
    at: float
    paid: int = 0
    tx: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Contents:
    """What one data set keeps here."""

    pieces: int = 0
    size: int = 0


class DealStore:
    """Data sets, their pieces and their proofs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sets(self, *, ended: bool = False) -> list[DataSet]:
        """All data sets, without those that have ended unless asked for."""
        where = "" if ended else " WHERE state != 'ended'"
        rows = await self._database.rows(f"SELECT * FROM storage_sets{where} ORDER BY rowid")  # noqa: S608
        return [_data_set(row) for row in rows]

    async def left_over(self) -> list[DataSet]:
        """Data sets that have ended and in whose escrow something is left."""
        rows = await self._database.rows(
            "SELECT * FROM storage_sets WHERE state = 'ended' AND escrow != '0' ORDER BY rowid"
        )
        return [_data_set(row) for row in rows]

    async def get(self, set_id: str) -> DataSet | None:
        row = await self._database.row("SELECT * FROM storage_sets WHERE id = ?", (set_id,))
        return None if row is None else _data_set(row)

    async def save(self, data_set: DataSet) -> None:
        """Writes a data set's row; the pieces of one that has ended lose their place."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(f"INSERT OR IGNORE INTO storage_sets VALUES ({_MARKS})", _values(data_set))  # noqa: S608
            connection.execute(_UPDATE, (*_values(data_set)[1:], data_set.id))
            if data_set.state is SetState.ENDED:
                connection.execute("UPDATE storage_set_pieces SET live = 0 WHERE set_id = ?", (data_set.id,))

        await self._database.run(work)

    async def drop(self, set_id: str) -> None:
        """Forgets a data set that never came to be."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM storage_set_pieces WHERE set_id = ?", (set_id,))
            connection.execute("DELETE FROM storage_sets WHERE id = ?", (set_id,))

        await self._database.run(work)

    async def pieces(self, set_id: str, *, live_only: bool = False) -> dict[int, SetPiece]:
        """The pieces of a data set by their id in it."""
        rows = await self._database.rows(
            "SELECT * FROM storage_set_pieces WHERE set_id = ? AND live >= ? ORDER BY piece_id",
            (set_id, int(live_only)),
        )
        return {
            row["piece_id"]: SetPiece(row["piece_id"], row["root"], row["leaf_count"], bool(row["live"]))
            for row in rows
        }

    async def place(self, set_id: str, customer: str, pieces: Sequence[SetPiece]) -> None:
        """Gives pieces their place; what the set speaks for needs no receipt any more."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO storage_set_pieces VALUES (?, ?, ?, ?, ?)",
                [(set_id, p.piece_id, p.root, p.leaf_count, int(p.live)) for p in pieces],
            )
            connection.executemany(
                "DELETE FROM storage_receipts WHERE root = ? AND customer IN (?, '')",
                [(p.root, customer) for p in pieces if p.live],
            )

        await self._database.run(work)

    async def contents(self) -> dict[str, Contents]:
        """Number and size of the live pieces of every data set."""
        rows = await self._database.rows(
            "SELECT s.set_id, COUNT(*) AS pieces, COALESCE(SUM(p.size), 0) AS size FROM storage_set_pieces s "
            "LEFT JOIN storage_pieces p ON p.root = s.root WHERE s.live GROUP BY s.set_id"
        )
        return {row["set_id"]: Contents(row["pieces"], row["size"]) for row in rows}

    # --- proofs

    async def record(self, outcomes: Iterable[Outcome]) -> None:
        """Writes how periods ended; a proven period never becomes a missed one again."""
        rows = [(o.period, o.set_id, int(o.proven), o.at, str(o.paid), o.tx, o.detail) for o in outcomes]
        await self._database.run(
            lambda connection: connection.executemany(
                "INSERT INTO storage_proofs VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (period, set_id) DO UPDATE SET "
                "proven = excluded.proven, at = excluded.at, paid = excluded.paid, tx = excluded.tx, "
                "detail = excluded.detail WHERE NOT storage_proofs.proven",
                rows,
            )
        )

    async def outcome(self, period: int, set_id: str) -> bool | None:
        """Whether a period is recorded as proven (or missed); None when it is not recorded."""
        row = await self._database.row(
            "SELECT proven FROM storage_proofs WHERE period = ? AND set_id = ?", (period, set_id)
        )
        return None if row is None else bool(row["proven"])

    async def records(self, limit: int = 50) -> list[ProofRecord]:
        """The newest periods, newest first; a period counts as proven when all its data sets are."""
        rows = await self._database.rows(
            "SELECT * FROM storage_proofs WHERE period > (SELECT COALESCE(MAX(period), 0) FROM storage_proofs) - ? "
            "ORDER BY period DESC, proven",
            (limit,),
        )
        grouped: dict[int, list[sqlite3.Row]] = {}
        for row in rows:
            grouped.setdefault(row["period"], []).append(row)
        return [
            ProofRecord(
                period=period,
                at=max(row["at"] for row in group),
                data_sets=len(group),
                proven=all(row["proven"] for row in group),
                paid=sum(int(row["paid"]) for row in group),
                transaction=next((row["tx"] for row in group if row["tx"]), ""),
                detail=group[0]["detail"],  # of a missed one if there is any
            )
            for period, group in grouped.items()
        ]

    async def proofs_behind(self, amount: int) -> int:
        """How many of the newest transactions have been paid so much together; a thousand data sets are looked at."""
        rows = await self._database.rows(
            "SELECT tx, paid FROM storage_proofs WHERE proven AND tx != '' ORDER BY period DESC, tx LIMIT 1000"
        )
        counted: set[str] = set()
        for row in rows:
            if amount <= 0:
                break
            counted.add(row["tx"])
            amount -= int(row["paid"])
        return len(counted)

    async def earned(self, since: float = 0.0) -> int:
        """What proofs have paid since then."""
        rows = await self._database.rows("SELECT paid FROM storage_proofs WHERE at >= ? AND proven", (since,))
        return sum(int(row["paid"]) for row in rows)


_COLUMNS = (
    "customer",
    "price",
    "expires",
    "state",
    "escrow",
    "paid",
    "ends_after",
    "first_due",
    "proven_period",
    "proven_at",
)
_MARKS = ", ".join("?" * (len(_COLUMNS) + 1))
_UPDATE = f"UPDATE storage_sets SET {', '.join(f'{name} = ?' for name in _COLUMNS)} WHERE id = ?"  # noqa: S608


def _values(data_set: DataSet) -> tuple[object, ...]:
    """The row in the order of the columns; money as text, since it passes SQLite's 63 bits."""
    d = data_set
    life = (d.ends_after, d.first_due, d.proven_period, d.proven_at)
    return (d.id, d.customer, str(d.price), d.expires, d.state.value, str(d.escrow), str(d.paid), *life)


def _data_set(row: sqlite3.Row) -> DataSet:
    return DataSet(
        id=row["id"],
        customer=row["customer"],
        price=int(row["price"]),
        expires=row["expires"],
        state=SetState(row["state"]),
        escrow=int(row["escrow"]),
        paid=int(row["paid"]),
        ends_after=row["ends_after"],
        first_due=row["first_due"],
        proven_period=row["proven_period"],
        proven_at=row["proven_at"],
    )
