"""What happened lately, in words: kept across restarts, bounded."""

from __future__ import annotations

from collections import deque

from depin_desktop.api.models import Activity
from depin_desktop.core.bus import EventBus, Subscription
from depin_desktop.core.database import Database

KEPT = 200
SHOWN = 30

_SCHEMA = ["CREATE TABLE activity (id INTEGER PRIMARY KEY, at REAL NOT NULL, entry TEXT NOT NULL);"]


class ActivityLog:
    """Follows the bus's "activity" topic."""

    def __init__(self, database: Database, bus: EventBus) -> None:
        self._database = database
        self._subscription: Subscription = bus.subscribe("activity")
        self._newest: deque[Activity] = deque(maxlen=SHOWN)

    async def open(self) -> None:
        await self._database.migrate("activity", _SCHEMA)
        rows = await self._database.rows("SELECT entry FROM activity ORDER BY id DESC LIMIT ?", (SHOWN,))
        self._newest.extend(Activity.model_validate_json(row["entry"]) for row in rows)

    def newest(self) -> tuple[Activity, ...]:
        """The last entries, the newest first."""
        return tuple(self._newest)

    async def follow(self) -> None:
        """Runs until cancelled; every entry is stored before the next one is taken."""
        with self._subscription as subscription:
            async for message in subscription:
                if isinstance(message.data, Activity):
                    self._newest.appendleft(message.data)
                    await self._store(message.data)

    async def _store(self, entry: Activity) -> None:
        await self._database.execute(
            "INSERT INTO activity (at, entry) VALUES (?, ?)", (entry.at, entry.model_dump_json())
        )
        await self._database.execute("DELETE FROM activity WHERE id <= (SELECT MAX(id) FROM activity) - ?", (KEPT,))
