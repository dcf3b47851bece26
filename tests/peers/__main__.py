"""Fetch and build every peer: `make peers`."""

from __future__ import annotations

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from peers import (
    broker,
    diarization,
    helm,
    kubeconform,
    kubernetes,
    kubescore,
    kwok,
    owners,
    prometheus,
    s3,
    tritonserver,
)


def main() -> None:
    """Build what is missing, and say how long it took."""
    peers = {
        "broker": broker.build,
        "s3": s3.build,
        "tritonserver": tritonserver.build,
        "diarization": diarization.build,
        "kubernetes": kubernetes.build,
        "kwok": kwok.build,
        "helm3": lambda: helm.build(3),
        "helm4": lambda: helm.build(4),
        "kubeconform": kubeconform.build,
        "kubescore": kubescore.build,
        "owners": owners.build,
        "prometheus": lambda: prometheus.program("prometheus"),
    }
    for name, build in peers.items():
        started = time.monotonic()
        print(f"{name}: {build()} ({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
