"""The transport to Ray Serve: HTTP to its proxies, a connection pool for each."""

from __future__ import annotations

import httpx2

from aftercall.contracts import errors, outcomes
from aftercall.serve import packing
from aftercall.serve.clients import replicas, waiting

_PASSING = frozenset({404, 408, 425})
"""Beside every 5xx: 404 is an application that is being deployed."""


class RayChannel:
    """Implements `servers.Channel`."""

    def __init__(self, address: replicas.Address, *, path: str = packing.WINDOWS_PATH) -> None:
        self._path = path
        host, port = address
        named = f"[{host}]" if ":" in host else host
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
        # No redirects and no proxies of the environment: audio goes where the settings say and nowhere else.
        self._client = httpx2.AsyncClient(
            base_url=f"http://{named}:{port}", limits=limits, follow_redirects=False, trust_env=False
        )

    async def ask(self, head: bytes, pcm: bytes, *, timeout_s: float) -> bytes:
        """Ask once; see `servers.Channel`."""
        try:
            answer = await self._client.post(self._path, content=packing.pack(head, pcm), timeout=timeout_s)
        except httpx2.HTTPError as exc:
            raise _passing(f"Ray cannot be reached ({type(exc).__name__})") from exc
        if answer.status_code == 200:
            return answer.content
        if answer.status_code == 429:
            raise errors.TransientError(
                "Ray's replicas are full",
                reason=outcomes.Reason.BACKEND_BUSY,
                retry_after_s=waiting.retry_after_s(answer.headers.get("retry-after"), otherwise_s=1.0),
            )
        if answer.status_code in _PASSING or answer.status_code >= 500:
            raise _passing(f"Ray answered {answer.status_code}")
        raise errors.PermanentError(
            f"Ray refused the window with {answer.status_code}", reason=outcomes.Reason.BACKEND_REFUSED
        )

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()


def _passing(message: str) -> errors.TransientError:
    return errors.TransientError(message, reason=outcomes.Reason.BACKEND_UNAVAILABLE, retry_after_s=1.0)
