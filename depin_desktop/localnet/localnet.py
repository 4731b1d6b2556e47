"""One local network: its processes, its first deployment, its network file, its faucet."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from depin_desktop.chain.network import Network
from depin_desktop.chain.rpc import Rpc, RpcError, Unreachable
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.localnet import anvil, hub
from depin_desktop.localnet.binaries import find_anvil, find_nats_server
from depin_desktop.localnet.chain_state import ChainStates
from depin_desktop.localnet.child import Child
from depin_desktop.localnet.children import ProcessId, end_leftovers
from depin_desktop.localnet.deployment import Deployment, deploy_contracts, found_chain
from depin_desktop.localnet.faucet import FaucetServer
from depin_desktop.localnet.folder import Folder, Ports, usable_port
from depin_desktop.localnet.status import ProcessRecord, Record
from depin_desktop.localnet.treasury import Treasury

log = logging.getLogger(__name__)

WATCH_INTERVAL_S = 1.0
CHAIN_TIMEOUT_S = 5.0
MISSES_UNTIL_KILLED = 10  # a chain that was silent for so many rounds is ended and started again


class Localnet:
    """A local network that lives as long as this object is started; also an async context manager.

    Args:
        root: its folder; the same folder is the same network after a restart.
        period_s: the proving period; it is written into the contracts when the network is founded, and a different
            value later has no effect.
        demand: also run neighbours who keep files and have work done.
    """

    def __init__(self, root: Path, period_s: int, *, demand: bool = False) -> None:
        self.folder = Folder(root)
        self.watch = Cycle("localnet", WATCH_INTERVAL_S, self._watch)
        self._period_s = period_s
        self._with_demand = demand
        self._ports = Ports()
        self._lock = FileLock(self.folder.lock)
        self._states = ChainStates(self.folder.chain)
        self._saver = anvil.Saver(self._states)
        self._tasks = Tasks("localnet")
        self._children: list[Child] = []
        self._cleanup = contextlib.AsyncExitStack()
        self._deployment: Deployment | None = None
        self._faucet: FaucetServer | None = None
        self._network: Network | None = None
        self._publishing = asyncio.Lock()
        self._rpc: Rpc | None = None
        self._height = 0
        self._misses = 0
        self._ready = False
        self._noted: Record | None = None

    @property
    def network(self) -> Network:
        """The network's profile, as it is in the network file."""
        assert self._network is not None, "start() comes first"
        return self._network

    @property
    def chain_process(self) -> Child:
        """anvil."""
        return self._children[0]

    @property
    def hub_process(self) -> Child:
        """nats-server."""
        return self._children[1]

    async def __aenter__(self) -> Localnet:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts everything and returns when it is ready; founds the network where there is none yet.

        Raises:
            UserFacingError: it runs already, a program is missing, a process does not start, or its state is damaged.
        """
        self.folder.root.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise UserFacingError(
                f"The local network in {self.folder.root} runs already.", code="localnet-running", status=409
            ) from error
        self._cleanup.callback(self._lock.release)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Saves the chain and ends every process. A second call does nothing."""
        self._ready = False
        await self._tasks.close()
        await self._cleanup.aclose()

    async def save(self) -> None:
        """Saves the chain now instead of at the next round; on disk when this returns."""
        await self._saver.save(self._chain_rpc())

    async def _start(self) -> None:
        if (before := Record.read(self.folder)) is not None:
            await asyncio.to_thread(end_leftovers, before.leftovers())
        self._cleanup.callback(self.folder.status.unlink, missing_ok=True)
        self._note()
        self._cleanup.push_async_callback(self._close_rpc)
        self._ports = self.folder.load_ports()
        treasury = await asyncio.to_thread(Treasury.load_or_create, self.folder.treasury)
        await self._start_chain(treasury)
        await self._start_hub()
        database = Database(self.folder.database)
        await database.open()
        self._cleanup.push_async_callback(database.close)
        self._deployment = await self._deploy_once(treasury)
        self._faucet = FaucetServer(treasury.faucet, database)
        self._cleanup.push_async_callback(self._faucet.stop)
        await self._publish()
        if self._with_demand:
            await self._start_demand()
        self._height = await self._saver.save_if_due(self._chain_rpc())
        self._ready = True
        self._tasks.spawn("watch", self.watch.run())
        self._note()

    # --- processes ----------------------------------------------------------------------------------------------

    async def _start_chain(self, treasury: Treasury) -> None:
        binary = find_anvil()
        if self._states.empty:
            await found_chain(binary, self.folder, treasury, self._states)

        async def command() -> Sequence[str]:
            state = await asyncio.to_thread(self._states.restore)
            self._use_ports(rpc=usable_port(self._ports.rpc))
            return anvil.command(binary, self._ports.rpc, self.folder.chain, state)

        await self._run(
            Child(
                "anvil",
                command=command,
                ready=lambda: anvil.is_ready(self._chain_rpc()),
                started=lambda: anvil.restore_time(self._chain_rpc()),
                log_path=self.folder.logs / "anvil.log",
            )
        )
        self._cleanup.push_async_callback(self._save_at_the_end)

    async def _start_hub(self) -> None:
        binary = find_nats_server()

        async def command() -> Sequence[str]:
            self._use_ports(hub=usable_port(self._ports.hub))
            return await asyncio.to_thread(hub.command, binary, self._ports.hub, self.folder.hub)

        await self._run(
            Child(
                "nats-server",
                command=command,
                ready=lambda: hub.is_ready(self._ports.hub),
                log_path=self.folder.logs / "nats-server.log",
            )
        )

    async def _start_demand(self) -> None:
        async def command() -> Sequence[str]:
            return [sys.executable, "-m", "depin_desktop.localnet.demand", "--dir", str(self.folder.root)]

        async def ready() -> bool:
            return True

        await self._run(Child("demand", command=command, ready=ready, log_path=self.folder.logs / "demand.log"))

    async def _run(self, child: Child) -> None:
        self._children.append(child)
        self._cleanup.push_async_callback(child.stop)
        await child.start()
        self._note()

    def _use_ports(self, **ports: int) -> None:
        changed = self._ports.model_copy(update=ports)
        if changed != self._ports:
            self._ports = changed
            self.folder.save_ports(changed)

    def _chain_rpc(self) -> Rpc:
        """A client of the chain where it is now; its port can change when it is started again."""
        url = anvil.rpc_url(self._ports.rpc)
        if self._rpc is None or self._rpc.url != url:
            if self._rpc is not None:
                self._tasks.spawn("close-rpc", self._rpc.close())
            self._rpc = Rpc(url, timeout_s=CHAIN_TIMEOUT_S)
        return self._rpc

    async def _close_rpc(self) -> None:
        if self._rpc is not None:
            await self._rpc.close()

    # --- what makes it a network --------------------------------------------------------------------------------

    async def _deploy_once(self, treasury: Treasury) -> Deployment:
        deployment = Deployment.load(self.folder.deployment)
        if deployment is None:
            deployment = await deploy_contracts(self._chain_rpc().url, treasury, self._period_s)
            # The state first: addresses that are written down must never name contracts that a crash undid.
            await self.save()
            deployment.save(self.folder.deployment)
        elif deployment.period_s != self._period_s:
            log.warning("this network was founded with a period of %d s, which stays", deployment.period_s)
        return deployment

    async def _publish(self) -> None:
        """Brings faucet and network file in line with the ports, should a process have moved to another one."""
        async with self._publishing:
            if self._deployment is None or self._faucet is None:
                return
            network = self._deployment.network(self._ports)
            if network == self._network:
                return
            port = await self._faucet.serve(network, self._ports.faucet)
            self._use_ports(faucet=port)
            network = self._deployment.network(self._ports)
            text = network.model_dump_json(indent=2) + "\n"
            await asyncio.to_thread(write_atomically, self.folder.network, text.encode())
            self._network = network

    # --- watching -----------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        try:
            self._height = await self._saver.save_if_due(self._chain_rpc())
            self._misses = 0
            await self._publish()
        except (Unreachable, RpcError, ValueError) as error:
            self._misses += 1
            log.warning("the chain does not answer as it should: %s", error)
            if self._misses >= MISSES_UNTIL_KILLED:
                self._misses = 0
                self.chain_process.kill()
        self._note()

    async def _save_at_the_end(self) -> None:
        try:
            await self.save()
        except (Unreachable, RpcError, ValueError, OSError) as error:
            log.warning("the chain could not be saved at the end: %s", error)  # anvil still tries to, as it ends

    def _note(self) -> None:
        me = ProcessId.current()
        processes = tuple(
            ProcessRecord(name=c.name, identity=c.identity, started_at=c.started_at, restarts=c.restarts)
            for c in self._children
        )
        record = Record(
            supervisor=me,
            ready=self._ready,
            processes=processes,
            block=self._height,
            period_s=self._deployment.period_s if self._deployment else 0,
            ports=self._ports,
        )
        if record != self._noted:
            record.write(self.folder)
            self._noted = record
