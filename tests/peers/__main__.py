"""Fetch and build every peer: `make peers`."""

from __future__ import annotations

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from peers import (
    broker,
    cache,
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


def main() -> int:
    """Build what is missing, say how long it took, and return whether something cannot be built."""
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
    code = 0
    for name, build in peers.items():
        started = time.monotonic()
        try:
            print(f"{name}: {build()} ({time.monotonic() - started:.0f} s)", flush=True)
        except cache.BuildError as exc:
            print(exc, file=sys.stderr, flush=True)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
