"""Homes driven as a person would drive them: by the command line and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depin_desktop.api.client import EngineClient, EngineUnreachable
from depin_desktop.api.models import Event
from depin_desktop.core.home import Home

PASSWORD = "correct horse battery"
COMMAND_TIMEOUT_S = 90
START_TIMEOUT_S = 30


class CommandFailed(AssertionError):
    """A command ended with another exit code than 0; its words are in the message."""

    def __init__(self, arguments: tuple[str, ...], code: int, output: str, errors: str) -> None:
        super().__init__(f"depin {' '.join(arguments)} → {code}\n{output}\n{errors}")
        self.code, self.output, self.errors = code, output, errors


def depin(*arguments: str, stdin: str = "", home: Path | None = None) -> str:
    """Runs one command and returns what it printed on standard output."""
    environment = os.environ | ({"DEPIN_HOME": str(home)} if home else {})
    done = subprocess.run(
        [sys.executable, "-m", "depin_desktop.cli", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        env=environment,
    )
    if done.returncode != 0:
        raise CommandFailed(arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout.strip()


def depin_json(*arguments: str, home: Path | None = None) -> Any:
    """The same, with --json."""
    return json.loads(depin(*arguments, "--json", home=home))


@dataclass
class Node:
    """One home and, while it runs, its engine."""

    root: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def init(self, network: Path) -> Any:
        return json.loads(
            depin(
                "init", "--network", str(network), "--password-stdin", "--json", stdin=PASSWORD + "\n", home=self.root
            )
        )

    async def start(self) -> None:
        """Starts the engine and returns when it answers and has joined the network."""
        self.launch()
        await self.until("status", lambda status: status["network"]["connected"] and status["hub"]["connected"])

    def launch(self) -> None:
        """Starts the engine without waiting for it."""
        log = (self.root / "stdout.log").open("ab")
        command = [sys.executable, "-m", "depin_desktop.cli", "engine", "--home", str(self.root)]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)

    async def until(self, topic: str, reached: Any, timeout_s: float = START_TIMEOUT_S) -> dict[str, Any]:
        """Waits for the engine's event that fulfils `reached`; returns its data."""
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    async with EngineClient(Home(self.root)) as client:
                        async for event in client.events():
                            if event.topic == topic and reached(event.data):
                                return _plain(event)
                except EngineUnreachable:
                    assert self.process is None or self.process.poll() is None, self.said()
                    await asyncio.sleep(0.05)  # the engine is starting: there is nothing yet to be told by

    def said(self) -> str:
        return (self.root / "stdout.log").read_text() + (self.root / "logs" / "engine.log").read_text()[-4000:]

    def kill(self) -> None:
        """SIGKILL, as the out-of-memory killer would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None

    def stop(self) -> None:
        """A clean end; must take less than the engine's own deadline."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
            self.process = None

    def cli(self, *arguments: str) -> Any:
        return depin_json(*arguments, home=self.root)


def _plain(event: Event) -> dict[str, Any]:
    return dict(event.data)
