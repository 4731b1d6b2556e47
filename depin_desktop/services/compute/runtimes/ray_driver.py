"""In a worker: the driver of a Ray cluster. Ray takes over signals and may hang, so it has this process to itself.

Each job goes to one `ray_node.Node` somewhere in the cluster, which nothing else uses meanwhile, and which is killed
where one of our own workers would be. Nodes that are idle for a while give their processors back to the cluster.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depin_desktop.services.compute.runtimes.engine import Refused, Task

START_S = 60.0
"""A node's process may wait so long for a processor of the cluster and for its first breath."""
IDLE_S = 60.0
TIDY_S = 10.0
KEPT_FILES = 32
_SENT = (
    "__init__",
    "base",
    "engine",
    "limits_posix",
    "onnx",
    "ray_driver",
    "ray_node",
    "sessions",
    "wasm",
    "wasm_world",
)
_HERE = Path(__file__).parent
_ROOT = _HERE.parents[3]


def load(settings: Mapping[str, Any]) -> RayEngine:
    """Attaches to the cluster.

    Raises:
        Refused: it does not take us, or Ray is not installed.
    """
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}
    if settings["token"]:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": settings["token"]}
    try:
        import ray
    except ImportError as error:
        raise Refused("not-installed", "Ray is not installed beside this program.") from error
    code = _code(Path(settings["folder"]))
    try:
        ray.init(
            settings["address"],
            namespace="depin",
            runtime_env={"working_dir": str(code)},
            log_to_driver=False,
            configure_logging=False,
        )
    except Exception as error:  # whatever Ray raises: ConnectionError, RuntimeError, gRPC's own
        raise Refused("not-connected", _first_line(error)) from error
    return RayEngine(ray)


class RayEngine:
    """The cluster as one engine that does many jobs at once."""

    concurrent = True

    def __init__(self, ray: Any) -> None:
        from depin_desktop.services.compute.runtimes.ray_node import Node

        self._ray = ray
        self._node = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Node)
        self._idle: list[tuple[float, Any]] = []
        self._about: dict[str, str] = {}
        self._files: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._free = threading.Condition()
        self._nodes = 0
        self._cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._wakes: dict[int, threading.Event] = {}
        threading.Thread(target=self._tidy, name="tidy", daemon=True).start()

    def describe(self) -> dict[str, Any]:
        return {"engine": f"ray {self._ray.__version__}"}

    def cancel(self, task: Task) -> None:
        wake = self._wakes.get(id(task))
        if wake is not None:
            wake.set()
        with self._free:
            self._free.notify_all()

    def run(self, task: Task) -> bytes:
        """A job; with no model, what the cluster is like now, as JSON."""
        if not task.model:
            return json.dumps(self._survey(task)).encode()
        content = self._content(task)
        node = self._lease(task)
        kept = False
        try:
            task.started_at = time.perf_counter()
            body = {name: value for name, value in task.body.items() if name != "seconds"}
            asked = node.run.remote(task.kind, body, task.data, task.model, _Fetch([content]))
            outcome = self._wait(task, asked, float(task.body["seconds"]))
            kept = True
        finally:
            self._give_back(node, kept=kept)
        task.fuel = outcome.fuel
        task.started_at = time.perf_counter() - outcome.seconds  # what the node took; the way there is ours
        if outcome.code:
            raise Refused(outcome.code, outcome.message)
        return bytes(outcome.data)

    def _survey(self, task: Task) -> dict[str, Any]:
        if not self._about:
            self._give_back(self._lease(task), kept=True)
        alive = [node for node in self._ray.nodes() if node["Alive"]]
        if not alive:
            raise Refused("crashed", "No node of it is alive.")
        self._cpus = max(1, sum(int(node["Resources"].get("CPU", 0)) for node in alive))
        return {"cpus": self._cpus, "nodes": len(alive), "about": self._about}

    def _content(self, task: Task) -> Any:
        """The file of a job in the cluster's own store, where every node reads it."""
        with self._lock:
            if task.model not in self._files:
                self._files[task.model] = self._ray.put(Path(task.module).read_bytes())
                while len(self._files) > KEPT_FILES:
                    self._files.popitem(last=False)
            self._files.move_to_end(task.model)
            return self._files[task.model]

    def _lease(self, task: Task) -> Any:
        """A node that nobody else uses; waits for one where there are as many as the cluster has processors."""
        with self._free:
            deadline = time.monotonic() + START_S
            while not self._idle and self._nodes >= self._cpus:
                if task.cancelled.is_set() or not self._free.wait(deadline - time.monotonic()):
                    raise _no_room()
            if self._idle:
                return self._idle.pop()[1]
            self._nodes += 1
        node = self._node.remote()
        try:
            self._about = self._wait(task, node.about.remote(), START_S)
        except BaseException as error:
            self._give_back(node, kept=False)
            if isinstance(error, Refused) and error.code == "time-limit":
                raise _no_room() from error
            raise
        return node

    def _give_back(self, node: Any, *, kept: bool) -> None:
        with self._free:
            if kept:
                self._idle.append((time.monotonic(), node))
            else:
                self._nodes -= 1
            self._free.notify()
        if not kept:
            self._ray.kill(node)

    def _wait(self, task: Task, asked: Any, seconds: float) -> Any:
        wake = self._wakes[id(task)] = threading.Event()
        asked.future().add_done_callback(lambda _: wake.set())
        if task.cancelled.is_set():  # it was before `cancel` could know of this wait
            wake.set()
        in_time = wake.wait(seconds)
        del self._wakes[id(task)]
        if task.cancelled.is_set() or not in_time:
            raise Refused("time-limit", "The job took longer than it may.")
        try:
            return self._ray.get(asked)
        except self._ray.exceptions.RayActorError as error:
            raise Refused("crashed", "The cluster's process that did this work ended in the middle of it.") from error

    def _tidy(self) -> None:
        while True:
            time.sleep(TIDY_S)
            with self._free:
                late = [node for since, node in self._idle if time.monotonic() - since > IDLE_S]
                self._idle = [entry for entry in self._idle if entry[1] not in late]
            for node in late:
                self._give_back(node, kept=False)


def _no_room() -> Refused:
    return Refused("overloaded", "The cluster has no processor free for this.")


class _Fetch:
    """Sent with each job: brings the job's file where a node does not have it yet."""

    def __init__(self, held: list[Any]) -> None:
        self._held = held  # in a list, or Ray would bring the content itself with every job

    def __call__(self) -> bytes:
        import ray

        return bytes(ray.get(self._held[0]))


def _code(folder: Path) -> Path:
    """The few modules that a node needs, in a folder of their own."""
    target = folder / "code"
    shutil.rmtree(target, ignore_errors=True)
    files = [_HERE / f"{name}.py" for name in _SENT]
    files += [package / "__init__.py" for package in _HERE.parents if package != _ROOT and _ROOT in package.parents]
    for file in files:
        place = target / file.relative_to(_ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    return target


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
