"""A server under test: started and ended by process id, on loopback, its output kept in a file."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar


class Runs(Protocol):
    """What can be started, and stopped for good: a server, or several that belong together."""

    def start(self) -> None:
        """Start it, and return once it is ready."""

    def stop(self) -> None:
        """End it."""


Peer = TypeVar("Peer", bound=Runs)


def free_port() -> int:
    """Return a port of the loopback address that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def answers(port: int) -> bool:
    """Say whether something accepts connections on a port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Server:
    """One process that can be killed and started again with the same arguments."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: pathlib.Path,
        is_ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
        ready_s: float = 60.0,
    ) -> None:
        self.name = name
        self._command = list(command)
        # What it begins inherits this, and is found by it however it is orphaned.
        self._mark = f"PEER={uuid.uuid4()}"
        variable, _, value = self._mark.partition("=")
        self._env = {**(os.environ if env is None else env), variable: value}
        self._is_ready = is_ready
        self._ready_s = ready_s
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> pathlib.Path:
        """The file that holds what it printed."""
        return self._folder / f"{self.name}.log"

    def start(self) -> None:
        """Start it, and return once it is ready."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(self._command, cwd=self._folder, env=self._env, stdout=out, stderr=out)
        try:
            self._wait_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._ready_s
        while not self._is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} did not become ready: {said}")
            time.sleep(0.05)

    def signal(self, sign: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(sign)

    def stop(self) -> None:
        """End it as an administrator would, and kill it if it does not end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a power cut would, and whatever it began, which may outlive it or begin more meanwhile."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            while left := self._left():
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)

    def _left(self) -> list[int]:
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._mark.encode() in entry.joinpath("environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found


def running(build: Callable[[], Peer]) -> Iterator[Peer]:
    """Start a server and stop it."""
    server = build()
    try:
        server.start()
        yield server
    finally:
        server.stop()
