"""What KubeRay and the Prometheus operator would say of their own kinds, by their own types and validation."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Sequence
from typing import Any

from peers import cache

KINDS = ("RayService", "PodMonitor", "PrometheusRule")


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """An object that its operator would not take, and why."""

    kind: str
    name: str
    why: str


def build() -> pathlib.Path:
    """Return the folder that holds the program."""
    return cache.build_go("owners", ".")


def refusals(objects: Sequence[dict[str, Any]]) -> list[Refusal]:
    """Return which of these objects are refused, for fields that their kinds do not have, too."""
    done = subprocess.run(
        [str(build() / "peer-owners")],
        input=json.dumps(list(objects)),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return [Refusal(**each) for each in json.loads(done.stdout)]
