"""A real Ray that serves the application, two processes for engines at most.

Its HTTP and its node address are loopback's; Ray's own ports between its processes are open on every address, which it
offers no setting against.
"""

from __future__ import annotations

import os
import pathlib
import sys

from peers import process

_HOST = pathlib.Path(__file__).with_name("ray_host.py")
_ROOT = _HOST.parents[2]


class Ray(process.Server):
    """Serves a model by `replicas` engines of one thread."""

    def __init__(self, folder: pathlib.Path, *, model: pathlib.Path, replicas: int, **settings: str) -> None:
        self.port = process.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        told = {
            "AFTERCALL_SPEECH__MODEL": str(model),
            "AFTERCALL_SPEECH__DEVICE": "cpu",
            "AFTERCALL_SPEECH__THREADS": "1",
            "AFTERCALL_SERVING__REPLICAS": str(replicas),
            "PYTHONPATH": ":".join(str(_ROOT / part) for part in ("contracts", "serve")),
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(process.free_port()),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(process.free_port()),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        super().__init__(
            "ray",
            [sys.executable, str(_HOST), str(self.port), str(replicas)],
            folder=folder,
            is_ready=lambda: self.log.read_text(errors="replace").count("READY") > self._n_ready,
            ready_s=90.0,
            env={**os.environ, **told, **settings},
        )
        self._n_ready = 0

    def start(self) -> None:
        """Start it, and return once every replica is ready."""
        super().start()
        self._n_ready += 1

    def replicas(self) -> list[int]:
        """Return the processes of the engines."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if entry.joinpath("comm").read_text().startswith("ray::ServeRepli"):
                    told = entry.joinpath("cmdline").read_text()
                    if "speech" in told:
                        found.append(int(entry.name))
            except OSError:
                continue  # ended meanwhile
        return found
