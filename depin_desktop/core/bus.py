"""One event bus: components publish immutable snapshots, subscribers get the latest of each topic.

A slow subscriber never holds a publisher up and never gathers a backlog: per topic it keeps only the newest snapshot,
except for topics whose every item counts (`keep_all`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from pydantic import BaseModel


class Message(NamedTuple):
    """A published snapshot and the topic it belongs to."""

    topic: str
    data: BaseModel


class EventBus:
    """Publishes within one event loop; every method is called from that loop."""

    def __init__(self, keep_all: Iterable[str] = ("activity",)) -> None:
        self._keep_all = frozenset(keep_all)
        self._subscribers: set[Subscription] = set()

    def publish(self, topic: str, data: BaseModel) -> None:
        """Hands `data` to every subscriber, replacing an unread older snapshot of the same topic."""
        for subscriber in self._subscribers:
            if subscriber.wants(topic):
                subscriber.put(Message(topic, data), replace=topic not in self._keep_all)

    def subscribe(self, *topics: str) -> Subscription:
        """A stream of messages from now on, where topics are named of these alone; use it as a context manager."""
        subscription = Subscription(self, topics)
        self._subscribers.add(subscription)
        return subscription

    def wanted(self, topic: str) -> bool:
        """Whether anybody listens: what is dear to put together need not be when nobody does."""
        return any(subscriber.wants(topic) for subscriber in self._subscribers)

    def forget(self, subscription: Subscription) -> None:
        self._subscribers.discard(subscription)


class Subscription:
    """The unread messages of one subscriber, oldest first."""

    def __init__(self, bus: EventBus, topics: Iterable[str] = (), limit: int = 1000) -> None:
        self._bus = bus
        self._topics = frozenset(topics)
        self._pending: deque[Message] = deque(maxlen=limit)
        self._ready = asyncio.Event()

    def wants(self, topic: str) -> bool:
        return not self._topics or topic in self._topics

    def put(self, message: Message, *, replace: bool) -> None:
        if replace:
            for index, waiting in enumerate(self._pending):
                if waiting.topic == message.topic:
                    self._pending[index] = message
                    return
        self._pending.append(message)
        self._ready.set()

    async def next(self) -> Message:
        """The oldest unread message; waits for one."""
        while not self._pending:
            self._ready.clear()
            await self._ready.wait()
        return self._pending.popleft()

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            yield await self.next()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self._bus.forget(self)
