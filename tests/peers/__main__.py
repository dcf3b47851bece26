"""Fetch and build every peer: `make peers`."""

from __future__ import annotations

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from peers import broker, diarization, kubernetes, kwok, s3, tritonserver


def main() -> None:
    """Build what is missing, and say how long it took."""
    peers = {
        "broker": broker.build,
        "s3": s3.build,
        "tritonserver": tritonserver.build,
        "diarization": diarization.build,
        "kubernetes": kubernetes.build,
        "kwok": kwok.build,
    }
    for name, build in peers.items():
        started = time.monotonic()
        print(f"{name}: {build()} ({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
