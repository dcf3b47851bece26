"""Run an application on a Ray of this process, on loopback alone, until SIGTERM: `python ray_host.py PORT CPUS`.

`RAY_APP` names its module; without it, ours.

Replicas find the packages in the folder that `EXTRA_PACKAGES` names, after everything else.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading

import ray
from ray import serve


def _find_packages() -> None:
    if "EXTRA_PACKAGES" in os.environ:
        sys.path.append(os.environ["EXTRA_PACKAGES"])


def main(port: int, cpus: int) -> None:
    """Serve, say that it is ready, and wait."""
    ray.init(
        num_cpus=cpus,
        include_dashboard=False,
        object_store_memory=128 * 2**20,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
        _metrics_export_port=int(os.environ["RAY_METRICS_PORT"]) if "RAY_METRICS_PORT" in os.environ else None,
        runtime_env={"worker_process_setup_hook": _find_packages},
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port, "keep_alive_timeout_s": 60})
    serve.run(importlib.import_module(os.environ.get("RAY_APP", "aftercall.serve.app")).app)
    print("READY", flush=True)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    stopping.wait()
    ray.shutdown()  # not Serve's own, which waits half a minute for a controller that waits for HAProxy


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
