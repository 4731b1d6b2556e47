"""Questions to hardware that may never answer: each in a daemon thread of its own, with a time-out.

A probe that hangs (a dead network mount, a driver that lost its card) cannot be killed. It is left behind, reported,
and not asked again before it has come back, so that hung threads never pile up.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psutil

from depin_desktop.api.models import ProbeProblem
from depin_desktop.core.errors import UserFacingError

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class ProbeFailed(Exception):
    """A probe gave no answer; `problem` says which and why."""

    def __init__(self, problem: ProbeProblem) -> None:
        super().__init__(f"{problem.probe}: {problem.message}")
        self.problem = problem


@dataclass
class _Run:
    started: float = field(default_factory=time.monotonic)
    answer: Future[Any] = field(default_factory=Future)


class Prober:
    """Runs probes by name; at most one thread per name at any time. May be used from several event loops."""

    def __init__(self) -> None:
        self._running: dict[str, _Run] = {}
        self._lock = threading.Lock()

    async def ask(self, name: str, work: Callable[[], Result], *, timeout_s: float) -> Result:
        """What `work` returns. Who asks while the same probe is under way gets that run's answer.

        Raises:
            ProbeFailed: it failed, or `timeout_s` have passed since its thread began.
        """
        with self._lock:
            run = self._running.get(name)
            if run is None:
                run = self._running[name] = _Run()
                run.answer.set_running_or_notify_cancel()
                arguments = (name, run, work)
                threading.Thread(target=self._work, args=arguments, name=f"probe {name}", daemon=True).start()
        answer: asyncio.Future[Result] = asyncio.wrap_future(run.answer)
        left = run.started + timeout_s - time.monotonic()
        try:
            if left > 0:
                await asyncio.wait({answer}, timeout=left)
        finally:
            if not answer.done():
                answer.cancel()  # only this loop's view of it: the thread keeps running
        if answer.cancelled():
            waited = time.monotonic() - run.started
            raise ProbeFailed(ProbeProblem(probe=name, message=f"No answer for {waited:.0f} s."))
        return _answer_of(name, answer)

    def hung(self) -> tuple[str, ...]:
        """The names of the probes whose threads have not come back."""
        with self._lock:
            return tuple(self._running)

    def _work(self, name: str, run: _Run, work: Callable[[], Any]) -> None:
        try:
            result = work()
        except BaseException as error:
            self._forget(name)
            run.answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            self._forget(name)
            run.answer.set_result(result)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._running.pop(name, None)


def _answer_of(name: str, answer: asyncio.Future[Result]) -> Result:
    try:
        return answer.result()
    except UserFacingError as error:
        raise ProbeFailed(ProbeProblem(probe=name, message=str(error))) from error
    except OSError as error:
        raise ProbeFailed(ProbeProblem(probe=name, message=f"{error.strerror or error}.")) from error
    except psutil.Error as error:
        raise ProbeFailed(ProbeProblem(probe=name, message=f"{error}.")) from error
    except Exception as error:
        # Hardware and drivers are odd beyond imagination: one odd answer must not hide the rest of the machine.
        log.exception("probe %s failed", name)
        message = f"An unexpected answer ({type(error).__name__}); the log has the details."
        raise ProbeFailed(ProbeProblem(probe=name, message=message)) from error
