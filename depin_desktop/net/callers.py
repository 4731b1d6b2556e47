"""The nodes that call us: their handshakes under way, their connections, and their streams."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import iroh

from depin_desktop.net.admission import Crowd, Limits, Room, Stage, source_of
from depin_desktop.net.door import Door
from depin_desktop.net.links import CODE_IDLE, CODE_REPLACED
from depin_desktop.net.stream import Spawn, StreamTransport

CODE_BUSY = 3
_UNPROVEN = "unproven"


class Caller:
    """One QUIC connection that a node opened to us, what runs on it, and when it was last of use.

    It was of use when it came and when a request of it was answered: opening streams, or holding them, is no use.
    """

    def __init__(self, connection: iroh.Connection) -> None:
        self.connection = connection
        self.node_id: str = connection.remote_id().to_bytes().hex()
        self.streams = 0
        self.working = 0  # of the streams, those whose request is being answered
        self.last_used = asyncio.get_running_loop().time()


class Inbound:
    """One stream of a caller, from its opening until it is closed, and its place in the room.

    Args:
        protocol: the HTTP server's, for this stream.
    """

    transport: StreamTransport

    def __init__(self, caller: Caller, room: Room[Inbound], protocol: asyncio.Protocol) -> None:
        self._caller = caller
        self.node_id = caller.node_id
        self._room = room
        self._works = False
        self.door = Door(protocol, self._staged, self._paid)

    def enter(self, stream: iroh.BiStream, spawn: Spawn) -> None:
        """Begins to read; another stream is aborted where there is no room for both."""
        self._caller.streams += 1
        self._room.add(self, self._caller.node_id)
        self.transport = StreamTransport(
            stream, self.door, node_id=self._caller.node_id, spawn=spawn, on_closed=self._closed
        )
        self._make_room()

    def _make_room(self) -> None:
        leaving = self._room.to_leave(self._caller.node_id)
        if leaving is not None:
            self._room.remove(leaving)
            leaving.transport.abort()

    def _staged(self, stage: Stage) -> None:
        self._room.move(self, stage)
        self._count(works=stage is Stage.WORKING)
        if stage is Stage.WAITING:
            self._caller.last_used = asyncio.get_running_loop().time()
        elif stage is Stage.ASKING:
            self._make_room()

    def _count(self, *, works: bool) -> None:
        self._caller.working += works - self._works
        self._works = works

    def _paid(self) -> None:
        self._room.paid(self._caller.node_id)

    def _closed(self, _: StreamTransport) -> None:
        self._room.remove(self)
        self._count(works=False)
        self._caller.streams -= 1


class Callers:
    """Those who are connected to us, never more than the limits: idle ones give way to newcomers.

    Args:
        pays: whether a node has paid lately; such nodes give way last.
    """

    def __init__(self, limits: Limits, pays: Callable[[str], bool]) -> None:
        self._limits = limits
        self._pays = pays
        self._callers: set[Caller] = set()
        self._of_node: Counter[str] = Counter()

    @property
    def node_ids(self) -> set[str]:
        return set(self._of_node)

    @property
    def nodes(self) -> int:
        """How many nodes are connected."""
        return len(self._of_node)

    def admit(self, caller: Caller) -> bool:
        """Takes a newcomer in, closing who is least of use; False when all others are at work.

        A node's own oldest connection gives way first, even at work: a node that reconnects has lost the old ones. A
        node that has paid takes the place of one that has not, even at work.
        """
        if self._of_node[caller.node_id] >= self._limits.connections_per_node:
            own = [other for other in self._callers if other.node_id == caller.node_id]
            self._dismiss(min(own, key=self._usefulness), CODE_REPLACED, b"replaced")
        if len(self._callers) >= self._limits.connections:
            least = min(self._callers, key=self._usefulness)
            if least.working and self._pays(caller.node_id) <= self._pays(least.node_id):
                return False
            self._dismiss(least, CODE_BUSY, b"busy")
        self._callers.add(caller)
        self._of_node[caller.node_id] += 1
        return True

    def forget(self, caller: Caller) -> None:
        """To be told when a connection has ended; a second time does nothing."""
        if caller in self._callers:
            self._callers.remove(caller)
            self._of_node[caller.node_id] -= 1
            if not self._of_node[caller.node_id]:
                del self._of_node[caller.node_id]

    def dismiss_where(self, unwanted: Callable[[Caller], bool]) -> None:
        for caller in [caller for caller in self._callers if unwanted(caller)]:
            self._dismiss(caller, CODE_IDLE, b"idle")

    def _dismiss(self, caller: Caller, code: int, reason: bytes) -> None:
        self.forget(caller)
        caller.connection.close(code, reason)

    def _usefulness(self, caller: Caller) -> tuple[bool, bool, float]:
        return self._pays(caller.node_id), caller.working > 0, caller.last_used


class Handshakes:
    """Handshakes under way. Beyond the limit the oldest of the address that holds most is given up."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._crowd: Crowd[asyncio.Task[Any]] = Crowd()
        self._sources: dict[asyncio.Task[Any], str] = {}

    def __len__(self) -> int:
        return len(self._crowd)

    async def source(self, incoming: iroh.Incoming) -> str | None:
        """Who a connection comes from; None if so many are under way that its address has to be proven first."""
        if len(self) < self._limits.unproven_handshakes:
            return _UNPROVEN  # no question asked: nothing is slower while there is room
        if not await incoming.remote_addr_validated():
            return None
        address = await incoming.remote_addr()
        if isinstance(address, iroh.IncomingAddr.IP):
            return source_of(address.addr)
        return address.url if isinstance(address, iroh.IncomingAddr.RELAY) else str(address)

    def add(self, handshake: asyncio.Task[Any], source: str) -> None:
        """Takes in a task that shakes hands, and cancels another one where room is short."""
        self._crowd.add(handshake, source)
        self._sources[handshake] = source
        handshake.add_done_callback(self._discard)
        if len(self._crowd) > self._limits.handshakes:
            longest = self._crowd.next_to_go()
            assert longest is not None
            self._discard(longest)
            longest.cancel()

    def _discard(self, handshake: asyncio.Task[Any]) -> None:
        source = self._sources.pop(handshake, None)
        if source is not None:
            self._crowd.discard(handshake, source)
