"""The yardstick for jobs a second: one Ray actor on this machine with the same WASM runtime. Prints the figure."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0"}


def main() -> None:
    """Nothing is printed where Ray is not installed."""
    told, outstanding = json.loads(sys.argv[1]), int(sys.argv[2])
    try:
        import ray
    except ImportError:
        return
    from depin_desktop.services.compute.runtimes.ray_node import Node

    module, stdin = Path(told["module"]).read_bytes(), Path(told["stdin"]).read_bytes()
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        ray.init(
            num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=folder, object_store_memory=80 << 20
        )
        body = {"fuel": 10**9, "memory": 64 << 20, "args": ()}
        node = ray.remote(num_cpus=1)(Node).remote()

        def ask() -> object:
            return node.run.remote("wasm", body, stdin, told["sha256"], lambda: module)

        ray.get([ask() for _ in range(20)])
        began = time.perf_counter()
        waiting = [ask() for _ in range(outstanding)]
        for _ in range(told["jobs"] - outstanding):
            done, waiting = ray.wait(waiting)
            assert not ray.get(done[0]).code
            waiting.append(ask())
        ray.get(waiting)
        print(told["jobs"] / (time.perf_counter() - began))
        ray.shutdown()


if __name__ == "__main__":
    main()
