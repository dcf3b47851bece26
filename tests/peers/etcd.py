"""The store of the API server: one etcd, without the safety of `fsync`, which tests on a shared disk would wait for."""

from __future__ import annotations

import pathlib

import httpx2
from peers import kubernetes, process


class Etcd(process.Server):
    """A store whose data survives `kill`, though not a power cut."""

    def __init__(self, folder: pathlib.Path) -> None:
        client, peer = process.free_port(), process.free_port()
        self.url = f"http://127.0.0.1:{client}"
        member = f"http://127.0.0.1:{peer}"
        super().__init__(
            "etcd",
            [
                str(kubernetes.build() / "server"),
                *("--name", "etcd", "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"),
                *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
                *("--listen-peer-urls", member, "--initial-advertise-peer-urls", member),
                *("--initial-cluster", f"etcd={member}", "--log-level", "warn"),
            ],
            folder=folder,
            is_ready=self._is_healthy,
        )

    def _is_healthy(self) -> bool:
        try:
            return bool(httpx2.get(f"{self.url}/health", timeout=1, trust_env=False).json()["health"] == "true")
        except (httpx2.HTTPError, ValueError):
            return False
