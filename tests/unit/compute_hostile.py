"""An engine that does to its worker what a hostile or broken one might; loaded by name into real workers."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depin_desktop.services.compute.runtimes.engine import Task


def load(settings: Mapping[str, Any]) -> HostileEngine:
    if settings.get("abort_on_load"):
        os.abort()
    return HostileEngine(Path(settings["folder"]), concurrent=bool(settings.get("concurrent")))


class HostileEngine:
    def __init__(self, folder: Path, *, concurrent: bool) -> None:
        self.concurrent = concurrent
        self._folder = folder
        self._held: list[bytearray] = []

    def describe(self) -> dict[str, Any]:
        return {"engine": "hostile", "pid": os.getpid()}

    def cancel(self, task: Task) -> None:
        """Does not care."""

    def run(self, task: Task) -> bytes:
        done = getattr(self, task.body["do"])(task)
        return bytes(done or b"")

    def echo(self, task: Task) -> bytes:
        return task.data

    def abort(self, task: Task) -> None:
        sys.stderr.write("assertion failed: the tensor is not a tensor\n")
        sys.stderr.flush()
        os.abort()

    def abort_in_company(self, task: Task) -> None:
        """Always, as soon as the others named in its input have begun."""
        while not all(os.path.exists(path) for path in task.data.decode().split()):
            time.sleep(0.01)
        os.abort()

    def hang_once(self, task: Task) -> bytes:
        """The first time for ever, then not at all; its input names the file by which it knows."""
        if os.path.exists(task.data.decode()):
            return b"done"
        task.prompt_tokens = 7
        task.progress()
        Path(task.data.decode()).touch()
        time.sleep(600)
        return b""

    def speak_and_hang(self, task: Task) -> None:
        task.send(b"a word")
        Path(task.data.decode()).touch()
        time.sleep(600)

    def crash(self, task: Task) -> None:
        ctypes.string_at(0)

    def sleep(self, task: Task) -> None:
        task.send(b"asleep")
        time.sleep(600)

    def hold_the_interpreter(self, task: Task) -> None:
        task.send(b"holding")
        ctypes.PyDLL(None).sleep(600)  # keeps Python's lock

    def fork(self, task: Task) -> None:
        pids = [os.fork() for _ in range(8)]
        if 0 in pids:
            time.sleep(600)
        task.send(" ".join(map(str, pids)).encode())
        time.sleep(600)

    def spawn_elsewhere(self, task: Task) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        task.send(str(child.pid).encode())
        time.sleep(600)

    def grow(self, task: Task) -> None:
        task.send(b"begun")
        while True:
            block = bytearray(16 << 20)
            block[::4096] = b"x" * len(block[::4096])
            self._held.append(block)
            task.progress()

    def fill_the_disk(self, task: Task) -> None:
        task.send(b"begun")
        for number in range(10_000):
            (self._folder / f"{number}").write_bytes(bytes(8 << 20))

    def chatter(self, task: Task) -> bytes:
        for _ in range(100_000):
            sys.stderr.write("the same thing over and over again\n")
        print("and this is no frame")
        return b"done"

    def environment(self, task: Task) -> bytes:
        descriptors = sorted(os.listdir("/proc/self/fd"), key=int) if sys.platform == "linux" else []
        return "\n".join([*sorted(os.environ), *descriptors]).encode()
