"""A customer's session: files to keep and work to be done, in the process that asks for it.

async with Customer.open(home) as customer:
    stored = await customer.put("holiday.zip", code=(2, 4))
    await customer.get(stored.locator, "back.zip")
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from depin_desktop.chain.network import Network
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.customer.catalogue import Catalogue, StoredFile
from depin_desktop.customer.download import FetchedFile, StoredPieces, bytes_ahead
from depin_desktop.customer.health import Health
from depin_desktop.customer.layout import SEGMENT_BYTES
from depin_desktop.customer.locator import Locator
from depin_desktop.customer.market import Market
from depin_desktop.customer.tools import Progress, Tools
from depin_desktop.payments.payer import Budget

if TYPE_CHECKING:
    from depin_desktop.customer.compute.client import ComputeClient
    from depin_desktop.customer.compute.scores import Scores
    from depin_desktop.customer.compute.session import Compute
    from depin_desktop.customer.deposits import Returned

DEFAULT_TERM_S = 30 * 86_400
CHECKS = 0.5
OPEN_FILES = 16
_COPY_BYTES = 1 << 20

__all__ = ["DEFAULT_TERM_S", "Customer", "FetchedFile", "StoredFile"]


class Customer:
    """One customer; make it with `open` or `connect`. The network is joined when it is first needed."""

    def __init__(self, folder: Path, catalogue: Catalogue, connection: _Connection) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._connection = connection
        self._health = Health()
        self._opened: OrderedDict[str, StoredPieces] = OrderedDict()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        home: Home,
        *,
        offline: bool = False,
        budget: Budget | None = None,
        checks: float = CHECKS,
        direct: bool = True,
    ) -> AsyncIterator[Customer]:
        """The customer of a home that has joined a network: pays from its spender's budget.

        Args:
            offline: only what needs no network: `files`.
            checks: the share of what computing costs that may go into checking answers; 0 checks none.
            direct: let bulk transfers go over TLS where providers can be reached that way, else over QUIC only.

        Raises:
            UserFacingError: the home has not joined a network.
        """
        from depin_desktop.wallet import hotkeys
        from depin_desktop.wallet.joining import joined_network

        network = await asyncio.to_thread(joined_network, home)
        account = await asyncio.to_thread(hotkeys.spender, home)
        async with cls.connect(
            network,
            account,
            home.root,
            database=home.customer_database,
            offline=offline,
            budget=budget,
            checks=checks,
            direct=direct,
        ) as customer:
            yield customer

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        network: Network,
        account: Signer,
        folder: Path,
        *,
        database: Path | None = None,
        offline: bool = False,
        budget: Budget | None = None,
        market: Market | None = None,
        checks: float = CHECKS,
        direct: bool = True,
    ) -> AsyncIterator[Customer]:
        """A customer on `network` who pays from `account` and keeps its rows in `folder`.

        Args:
            market: where providers are found; the network's hub where absent.
        """
        path = database or folder / "customer.sqlite"
        rows = Database(path)
        async with AsyncExitStack() as stack:
            await rows.open()
            stack.push_async_callback(rows.close)
            with contextlib.suppress(OSError):
                path.chmod(0o600)
            catalogue = Catalogue(rows)
            await catalogue.open()
            connection = _Connection(
                network, account, rows, catalogue, offline, budget or Budget(), market, checks, direct, stack
            )
            yield cls(folder, catalogue, connection)

    @cached_property
    def compute(self) -> Compute:
        """Chat, embeddings and jobs: `await customer.compute.chat("…")`."""
        from depin_desktop.customer.compute.session import Compute

        return Compute(self._connection.compute, self._connection.scores)

    # --- files ----------------------------------------------------------------------------------------------------

    async def put(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        code: tuple[int, int] = (1, 1),
        name: str | None = None,
        term_s: int = DEFAULT_TERM_S,
        progress: Progress | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> StoredFile:
        """Stores a file, or what a stream holds, encrypted and in pieces with as many providers as `code` says.

        An interrupted put of the same file goes on where it was when it is asked for again.

        Args:
            code: (k, n): any k of n pieces give the file back.
            name: by which it is listed; a path's own name where absent.
            term_s: for how long providers are paid to keep it.

        Raises:
            UserFacingError: no such file, not enough providers or funds (before anything is spent), or too many fail.
        """
        from depin_desktop.customer import upload
        from depin_desktop.customer.source import Source

        if isinstance(source, str | os.PathLike):
            path = _absolute(source)
            looked = await asyncio.to_thread(Source.look, path)
            tools = await self._connection.tools()
            return await upload.put(
                tools,
                looked,
                name=name or path.name,
                code=code,
                term_s=term_s,
                progress=progress,
                segment_bytes=segment_bytes,
            )
        with tempfile.TemporaryDirectory(prefix="passing-", dir=self._folder) as passing:
            path = Path(passing) / "stream"
            await asyncio.to_thread(_spool, source, path)
            return await self.put(
                path,
                code=code,
                name=name or "unnamed",
                term_s=term_s,
                progress=progress,
                segment_bytes=segment_bytes,
            )

    async def get(self, locator: str, out: str | os.PathLike[str], *, progress: Progress | None = None) -> FetchedFile:
        """Fetches a file to `out`, which is replaced only when all of it is there and right.

        Raises:
            UserFacingError: not a locator, too few providers answer, the funds do not suffice, or `out` cannot be
                written.
        """
        path, began = _absolute(out), asyncio.get_running_loop().time()
        pieces = await self._pieces(locator)
        await pieces.fetch_to(path, progress)
        return FetchedFile(
            path=str(path),
            name=pieces.manifest.name,
            size=pieces.manifest.size,
            seconds=asyncio.get_running_loop().time() - began,
            liars=tuple(self._health.liars),
        )

    async def read(self, locator: str, start: int, length: int) -> bytes:
        """Bytes of a file from `start`, fewer only at its end; pays for little more than these.

        Raises:
            UserFacingError: as for `get`.
        """
        if start < 0 or length < 0:
            raise ValueError("a range begins at 0 or later and has no negative length")
        return await (await self._pieces(locator, length)).read(start, length)

    async def describe(self, locator: str) -> tuple[str, int]:
        """Name and size in bytes of a stored file, from its manifest."""
        manifest = (await self._pieces(locator, 0)).manifest
        return manifest.name, manifest.size

    async def files(self) -> list[StoredFile]:
        """What this customer has stored and not removed, newest first; needs no network."""
        return await self._catalogue.files()

    async def find(self, name_or_locator: str) -> StoredFile | None:
        """The newest stored file of that name, or with that locator; needs no network."""
        return await self._catalogue.find(name_or_locator)

    async def remove(self, locator: str) -> None:
        """Ends the keeping of a file; what was paid ahead comes back when the deal ends.

        Raises:
            UserFacingError: this customer has not stored it, or not every provider can be told now.
        """
        from depin_desktop.customer import remove

        file = await self._catalogue.find(locator)
        if file is None:
            raise UserFacingError(
                "This file is not on the list of what was stored from here.",
                "Remove it from the home that has stored it.",
                code="unknown-file",
                status=404,
            )
        await remove.remove(await self._connection.tools(), file)
        self._opened.pop(file.locator, None)

    async def reclaim(self, providers: Collection[str] = ()) -> list[Returned]:
        """Has what is not used of its deposits back from these providers, or from all where none are named.

        Raises:
            UserFacingError: the chain cannot be reached.
        """
        from depin_desktop.customer import deposits

        return await deposits.reclaim(await self._connection.tools(), providers)

    async def _pieces(self, locator: str, length: int | None = None) -> StoredPieces:
        """A stored file with its manifest fetched; the last few are kept. `length` is about to be read, None: all."""
        place = Locator.parse(locator)
        text = str(place)
        if text not in self._opened:
            known = await self._catalogue.find(text)
            ahead = bytes_ahead(place.needed, None if known is None else known.size, length)
            self._opened[text] = await StoredPieces.open(await self._connection.tools(), self._health, place, ahead)
        self._opened.move_to_end(text)
        while len(self._opened) > OPEN_FILES:
            self._opened.popitem(last=False)
        return self._opened[text]


class _Connection:
    """Chain, market and payer, opened together when first needed."""

    def __init__(
        self,
        network: Network,
        account: Signer,
        database: Database,
        catalogue: Catalogue,
        offline: bool,
        budget: Budget,
        market: Market | None,
        checks: float,
        direct: bool,
        stack: AsyncExitStack,
    ) -> None:
        self._network = network
        self._account = account
        self._database = database
        self._catalogue = catalogue
        self._offline = offline
        self._budget = budget
        self._market = market
        self._checks = checks
        self._direct = direct
        self._stack = stack
        self._tools: Tools | None = None
        self._compute: ComputeClient | None = None
        self._scores: Scores | None = None
        self._alone = asyncio.Lock()

    async def tools(self) -> Tools:
        """The session's tools.

        Raises:
            UserFacingError: the chain cannot be reached.
        """
        if self._offline:
            raise UserFacingError("This session was opened without a network.", "Open it online.", code="offline")
        async with self._alone:
            if self._tools is None:
                self._tools = await self._open()
            return self._tools

    async def compute(self) -> ComputeClient:
        """The session's buyer of computing.

        Raises:
            UserFacingError: the chain cannot be reached.
        """
        tools, scores = await self.tools(), await self.scores()
        async with self._alone:
            if self._compute is None:
                from depin_desktop.customer.compute.client import ComputeClient

                client = ComputeClient(tools.market, tools.payer, self._account, scores, checks=self._checks)
                client.start()
                self._stack.push_async_callback(client.close)
                self._compute = client
            return self._compute

    async def scores(self) -> Scores:
        """What this home has seen of those who sell computing; needs no network."""
        async with self._alone:
            if self._scores is None:
                from depin_desktop.customer.compute.scores import Scores

                scores = Scores(self._database)
                await scores.open()
                self._scores = scores
            return self._scores

    async def _open(self) -> Tools:
        from depin_desktop.chain.chain import Chain
        from depin_desktop.customer.deals import Schedule
        from depin_desktop.payments.payer import Payer

        async with AsyncExitStack() as opening:
            chain = await Chain.connect(self._network)
            opening.push_async_callback(chain.close)
            market = self._market
            if market is None:
                from depin_desktop.customer.hub_market import HubMarket

                hub = HubMarket(chain, direct=self._direct)
                opening.push_async_callback(hub.close)
                await hub.start()
                market = hub
            payer = Payer(chain, self._account, self._database, budget=self._budget)
            await payer.start()
            opening.push_async_callback(payer.close)
            tools = Tools(chain, self._account, market, payer, self._catalogue, await Schedule.read(chain))
            self._stack.push_async_callback(opening.pop_all().aclose)
            return tools


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(path).expanduser().absolute()


def _spool(stream: BinaryIO, path: Path) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file, _COPY_BYTES)
