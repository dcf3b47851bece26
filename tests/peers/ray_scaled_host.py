"""Run two small applications on a Ray of this process, on loopback, until SIGTERM: `python ray_scaled_host.py PORT`.

The dashboard listens on PORT. `aftercall` lets others scale its deployment `speech`, `own` does not.
"""

from __future__ import annotations

import signal
import sys
import threading

import ray
from ray import serve


class Speech:
    """Answers nothing: it is only counted."""

    def __call__(self) -> str:
        """Answer."""
        return ""


def main(port: int) -> None:
    """Serve, say that it is ready, and wait."""
    ray.init(
        num_cpus=2,
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        dashboard_port=port,
        object_store_memory=128 * 2**20,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
    )
    serve.start(proxy_location="Disabled")
    app = serve.deployment(name="speech", ray_actor_options={"num_cpus": 0.1})(Speech).bind()
    serve.run(app, name="aftercall", route_prefix=None, external_scaler_enabled=True)
    serve.run(app, name="own", route_prefix=None)
    print("READY", flush=True)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    stopping.wait()
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
