"""The worker process: `python -m depin_desktop.services.compute.runtimes.child`, spoken to in frames.

It loads one engine, says that it is ready, and does what it is told until its standard input ends; then it ends at once
with everything that it started. It knows no secret, has no environment to speak of, and opens only what it is told.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import sys
import threading
from typing import Any

from depin_desktop.services.compute.runtimes import limits
from depin_desktop.services.compute.runtimes.engine import Engine, Refused, Task
from depin_desktop.services.compute.runtimes.frames import Decoder, Frame, Kind

log = logging.getLogger(__name__)

_READ_BYTES = 1 << 20


class Child:
    """One worker's life."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._writing = threading.Lock()
        self._incoming: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._tasks: dict[int, Task] = {}
        self._engine: Engine | None = None

    def main(self) -> None:
        """Never returns while the engine of the desktop is there."""
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        setup = self._incoming.get()
        try:
            self._engine = engine = _load(setup.meta)
        except Refused as refused:
            self._write(Frame(Kind.BROKEN, meta={"code": refused.code, "message": refused.message}))
            return
        self._write(Frame(Kind.READY, meta=engine.describe()))
        while True:
            frame = self._incoming.get()
            task = self._task(frame)
            self._tasks[frame.job] = task
            if engine.concurrent:
                threading.Thread(target=self._run, args=(engine, frame.job, task), daemon=True).start()
            else:
                self._run(engine, frame.job, task)

    def _task(self, frame: Frame) -> Task:
        meta, job = frame.meta, frame.job

        def send(data: bytes) -> None:
            self._write(Frame(Kind.CHUNK, job, data=data, usage=task.usage()))

        def progress() -> None:
            self._write(Frame(Kind.PROGRESS, job, usage=task.usage()))

        task = Task(meta["kind"], meta["body"], frame.data, meta["module"], meta["model"], send, progress)
        return task

    def _run(self, engine: Engine, job: int, task: Task) -> None:
        try:
            data = engine.run(task)
            end = Frame(Kind.END, job, data=data, usage=task.usage())
        except Refused as refused:
            meta = {"code": refused.code, "message": refused.message}
            end = Frame(Kind.FAILED, job, meta=meta, usage=task.usage())
        except MemoryError:
            meta = {"code": "memory-limit", "message": "The job needs more memory than it may have."}
            end = Frame(Kind.FAILED, job, meta=meta, usage=task.usage())
        except Exception:
            log.exception("a job failed in a way that the runtime did not foresee")
            meta = {"code": "crashed", "message": "The runtime failed on this job."}
            end = Frame(Kind.FAILED, job, meta=meta, usage=task.usage())
        del self._tasks[job]
        self._write(end)

    def _listen(self) -> None:
        try:
            decoder = Decoder()
            while data := os.read(self._source, _READ_BYTES):
                for frame in decoder.feed(data):
                    if frame.kind is Kind.CANCEL:
                        self._cancel(frame.job)
                    else:
                        self._incoming.put(frame)
        finally:
            limits.end_self()  # nobody is left to work for

    def _cancel(self, job: int) -> None:
        task = self._tasks.get(job)
        if task is not None and self._engine is not None:
            task.cancelled.set()
            self._engine.cancel(task)

    def _write(self, frame: Frame) -> None:
        data = memoryview(frame.encode())
        with self._writing:
            while data:
                data = data[os.write(self._sink, data) :]


def _load(setup: Any) -> Engine:
    limits.give_way()
    limits.confine(
        memory_bytes=int(setup["memory_bytes"]), file_bytes=int(setup["file_bytes"]), lifeline=setup.get("lifeline")
    )
    try:
        module = importlib.import_module(setup["engine"])
    except ImportError as error:
        raise Refused("crashed", f"The runtime is not installed: {error}.") from error
    engine: Engine = module.load(setup["settings"])
    return engine


def main() -> None:
    """Takes the pipes for itself; what native code prints goes to standard error."""
    source, sink = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    for descriptor in (source, sink):
        limits.binary(descriptor)
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
    Child(source, sink).main()


if __name__ == "__main__":
    main()
