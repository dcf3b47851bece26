"""A pod that runs as a process of this machine, and its probes."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from peers import kubeclient


@dataclasses.dataclass(slots=True)
class Probe:
    """One of a container's; `failed` in a row."""

    told: Mapping[str, Any]
    due_at_s: float = 0.0
    failed: int = 0

    def look(self, ports: Mapping[str, int]) -> bool | None:
        """Ask if it is time to; say whether it is well, None when it was not asked."""
        if time.monotonic() < self.due_at_s:
            return None
        self.due_at_s = time.monotonic() + self.told["periodSeconds"]
        asked = self.told["httpGet"]
        is_well = _answers(ports[asked["port"]], asked["path"], self.told["timeoutSeconds"])
        self.failed = 0 if is_well else self.failed + 1
        return is_well

    @property
    def has_failed(self) -> bool:
        """Whether that is enough."""
        return self.failed >= self.told["failureThreshold"]


@dataclasses.dataclass(slots=True)
class Pod:
    """A pod and the process of its container."""

    manifest: kubeclient.Manifest
    folder: pathlib.Path
    ports: Mapping[str, int]
    process: subprocess.Popen[bytes] | None = None
    probes: dict[str, Probe] = dataclasses.field(default_factory=dict)
    is_ready: bool = False
    has_started: bool = False
    n_restarts: int = 0
    n_initialized: int = 0
    """How many of the containers that prepare it are done."""
    exit_codes: list[int] = dataclasses.field(default_factory=list)
    killed_at_s: float | None = None
    refreshed_at_s: float = 0.0
    signalled_at_s: float | None = None
    ended_in_s: float | None = None
    """Seconds from SIGTERM to its end."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Where it is."""
        return str(self.manifest["metadata"]["namespace"])

    def field(self, told: Mapping[str, str]) -> str:
        """Return a field that the manifest refers to."""
        return {"metadata.name": self.name, "metadata.namespace": self.namespace}[told["fieldPath"]]

    @property
    def container(self) -> Mapping[str, Any]:
        """The container that runs, or is next: those that prepare it, each in its turn, and then its only other one."""
        (one,) = self.manifest["spec"]["containers"]
        return dict([*self.manifest["spec"].get("initContainers", ()), one][self.n_initialized])

    @property
    def is_initialized(self) -> bool:
        """Whether nothing is left that prepares it."""
        return self.n_initialized == len(self.manifest["spec"].get("initContainers", ()))

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and is not to begin again."""
        policy = self.manifest["spec"]["restartPolicy"]
        if self.process is not None or not self.exit_codes or policy == "Always":
            return False
        return policy == "Never" or self.exit_codes[-1] == 0

    @property
    def log(self) -> pathlib.Path:
        """What it printed, over all restarts."""
        return self.folder / "log"


def _answers(port: int, path: str, timeout_s: float) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout_s) as answer:
            return bool(200 <= answer.status < 400)
    except (urllib.error.URLError, OSError):
        return False
