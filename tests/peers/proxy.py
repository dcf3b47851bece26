"""A TCP proxy with faults: passes bytes on, slowly, not at all, or resets what is connected."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

from peers import process

MODES = ("pass", "slow", "hang", "reset")
_SLOW_S = 0.3


class Proxy:
    """Listens on a free port of loopback; `mode` may be changed at any time."""

    def __init__(self) -> None:
        self.port = process.free_port()
        self.target = 0
        self.mode = "pass"
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def start(self, target: int) -> None:
        """Pass on to a port."""
        self.target = target
        self._thread.start()

    def stop(self) -> None:
        """Close everything."""
        self._listening.close()
        self.reset()

    def reset(self) -> None:
        """Reset every connection, as a router that lost its state does."""
        with self._lock:
            found, self._open = self._open, set()
        for one in found:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                while self.mode == "hang":
                    time.sleep(0.05)
                if self.mode == "slow":
                    time.sleep(_SLOW_S)
                if self.mode == "reset":
                    break
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            with self._lock:
                self._open.discard(one)
