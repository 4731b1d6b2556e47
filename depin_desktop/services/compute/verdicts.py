"""What customers have found when they checked this provider's answers, as they tell it themselves.

Only who paid for a job may say how its check ended, once. It is shown to the owner and has no other effect: a customer
could say anything, and each goes by its own records.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.net.work_receipts import verdict_signer

NAMESPACE = "compute_verdicts"
SCHEMA = [
    """
    CREATE TABLE compute_verdicts (
        job TEXT PRIMARY KEY,
        verdict TEXT NOT NULL,
        told_at REAL NOT NULL
    );
    """
]
RIGHT, WRONG = "right", "wrong"
MAX_BYTES = 4096

CustomerOf = Callable[[str], Awaitable[str | None]]


class Told(BaseModel):
    """A verdict on the wire."""

    model_config = ConfigDict(frozen=True)

    job: str = Field(max_length=64)
    verdict: str = Field(pattern=f"^({RIGHT}|{WRONG})$")
    signature: str = Field(max_length=256)


class Verdicts:
    """The verdicts on this provider's jobs.

    Args:
        provider: the owner's address, which verdicts name.
        customer_of: who paid for a job; None where there is no such job.
        changed: called after a new verdict.
    """

    def __init__(self, database: Database, provider: str, customer_of: CustomerOf, changed: Callable[[], None]) -> None:
        self._database = database
        self._provider = provider
        self._customer_of = customer_of
        self._changed = changed
        self._counts = {RIGHT: 0, WRONG: 0}

    @property
    def right(self) -> int:
        return self._counts[RIGHT]

    @property
    def wrong(self) -> int:
        return self._counts[WRONG]

    async def open(self) -> None:
        """Makes or migrates the table, and counts what is in it."""
        await self._database.migrate(NAMESPACE, SCHEMA)
        rows = await self._database.rows("SELECT verdict, COUNT(*) AS jobs FROM compute_verdicts GROUP BY verdict")
        self._counts |= {row["verdict"]: row["jobs"] for row in rows}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/compute/verdicts", self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        if request.content_length is None or request.content_length > MAX_BYTES:
            return web.json_response({"code": "too-large", "message": "This is no verdict."}, status=413)
        try:
            await self.tell(Told.model_validate_json(await request.read()))
        except ValidationError:
            return web.json_response({"code": "bad-request", "message": "This is no verdict."}, status=400)
        except UserFacingError as error:
            said = {"code": error.code, "message": error.message, "remedy": error.remedy}
            return web.json_response(said, status=error.status)
        return web.Response(status=204)

    async def tell(self, told: Told) -> None:
        """Takes one verdict; the first one on a job counts.

        Raises:
            UserFacingError: there is no such job, or somebody else paid for it.
        """
        customer = await self._customer_of(told.job)
        if customer is None:
            raise UserFacingError("There is no such job here.", code="unknown-job", status=404)
        signer = verdict_signer(told.job, self._provider, told.verdict, told.signature)
        if signer is None or signer.lower() != customer.lower():
            raise UserFacingError("Only who paid for a job may judge it.", code="not-your-job", status=403)
        added = await self._database.execute(
            "INSERT OR IGNORE INTO compute_verdicts VALUES (?, ?, ?)", (told.job, told.verdict, time.time())
        )
        if added:
            self._counts[told.verdict] += 1
            self._changed()
