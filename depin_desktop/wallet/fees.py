"""What the ledger's transactions cost: read from their receipts, once each, and kept beside its lines."""

from __future__ import annotations

import sqlite3
from typing import Any

from depin_desktop.chain.chain import Chain
from depin_desktop.core.database import Database
from depin_desktop.wallet.ledger import Parties

NAMESPACE = "ledger_fees"
SCRIPTS = (
    """
    CREATE TABLE ledger_fees (
        tx BLOB NOT NULL,
        block_hash BLOB NOT NULL,
        fee TEXT NOT NULL,
        PRIMARY KEY (tx, block_hash)
    );
    """,
)
PAGE = 100


class LedgerFees:
    """Fees in wei by transaction and block: what a reorganisation mined anew is read anew.

    A transaction that somebody else sent (a customer's, the faucet's, a relayer's) cost this home nothing.
    """

    def __init__(self, database: Database, parties: Parties) -> None:
        self._database = database
        self._ours = {address.lower() for address in (parties.owner, parties.operator, parties.spender)}

    async def open(self) -> None:
        """Makes the tables; the ledger's must be there."""
        await self._database.migrate(NAMESPACE, SCRIPTS)

    async def fill(self, chain: Chain) -> int:
        """Reads the receipts of the newest lines whose fee is unknown; returns how many were learnt.

        Raises:
            UserFacingError: the chain is out of reach.
        """
        rows = await self._database.rows(
            "SELECT DISTINCT l.tx, l.block_hash FROM ledger_entries l LEFT JOIN ledger_fees f"
            " ON f.tx = l.tx AND f.block_hash = l.block_hash WHERE f.tx IS NULL ORDER BY l.block DESC LIMIT ?",
            (PAGE,),
        )
        if not rows:
            return 0
        receipts = await chain.rpc.batch([("eth_getTransactionReceipt", ("0x" + row["tx"].hex(),)) for row in rows])
        known = [
            (row["tx"], row["block_hash"], str(self._fee(receipt)))
            for row, receipt in zip(rows, receipts, strict=True)
            if isinstance(receipt, dict) and receipt.get("blockHash") == "0x" + row["block_hash"].hex()
        ]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO ledger_fees VALUES (?, ?, ?)", known)

        await self._database.run(work)
        return len(known)

    def _fee(self, receipt: dict[str, Any]) -> int:
        if receipt["from"].lower() not in self._ours:
            return 0
        paid = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        return paid + int(receipt.get("l1Fee") or "0x0", 16)  # of a roll-up, for its data

    async def by_transaction(self) -> dict[str, int]:
        """Wei by transaction hash (0x…), of those that cost something."""
        rows = await self._database.rows(
            "SELECT f.tx, f.fee FROM ledger_fees f JOIN (SELECT DISTINCT tx, block_hash FROM ledger_entries) l"
            " ON f.tx = l.tx AND f.block_hash = l.block_hash WHERE f.fee != '0'"
        )
        return {"0x" + row["tx"].hex(): int(row["fee"]) for row in rows}
