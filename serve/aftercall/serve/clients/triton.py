"""The transport to a Triton server: gRPC, one channel a server, the tensors of `triton_model`."""

from __future__ import annotations

import typing

import numpy as np

from aftercall.contracts import errors, outcomes
from aftercall.serve.clients import replicas

if typing.TYPE_CHECKING:
    import tritonclient.grpc.aio

_FULL = "Exceeds maximum queue size"
_BUSY_S = 0.1
"""Triton says nothing of when to come again."""
_PASSING = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED", "INTERNAL", "NOT_FOUND", "ABORTED")
"""What another try, here or on another server, may get past; `NOT_FOUND` is a model that is being loaded."""


class TritonChannel:
    """Implements `servers.Channel`."""

    def __init__(self, address: replicas.Address, *, model: str = "speech") -> None:
        from tritonclient import grpc
        from tritonclient.grpc import aio

        self._model = model
        host, port = address
        named = f"[{host}]" if ":" in host else host
        self._client: tritonclient.grpc.aio.InferenceServerClient = aio.InferenceServerClient(
            f"{named}:{port}",
            # A server that was killed is found out by pings, not by the kernel's two hours.
            keepalive_options=grpc.KeepAliveOptions(
                keepalive_time_ms=10_000, keepalive_timeout_ms=5_000, keepalive_permit_without_calls=False
            ),
        )

    async def ask(self, head: bytes, pcm: bytes, *, timeout_s: float) -> bytes:
        """Ask once; see `servers.Channel`."""
        from tritonclient import utils
        from tritonclient.grpc import aio

        samples = np.frombuffer(pcm, dtype="<i2")[np.newaxis]
        asked = aio.InferInput("HEAD", [1, 1], "BYTES"), aio.InferInput("PCM", list(samples.shape), "INT16")
        asked[0].set_data_from_numpy(np.array([[head]], dtype=np.object_))
        asked[1].set_data_from_numpy(samples)
        try:
            told = await self._client.infer(self._model, list(asked), client_timeout=timeout_s)
        except utils.InferenceServerException as exc:
            raise _translate(exc) from exc
        answer = told.as_numpy("ANSWER")
        if answer is None or answer.shape != (1, 1):
            raise errors.TransientError("Triton answered without an answer", reason=outcomes.Reason.BACKEND_UNAVAILABLE)
        return typing.cast(bytes, answer[0, 0])

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()


def _translate(exc: Exception) -> errors.AftercallError:
    """Tell what may pass from what will not; Triton's own words may hold shapes, not what was said."""
    if _FULL in str(exc):
        return errors.TransientError(
            "Triton's queue is full", reason=outcomes.Reason.BACKEND_BUSY, retry_after_s=_BUSY_S
        )
    status = str(getattr(exc, "status", lambda: "")() or "").removeprefix("StatusCode.")
    if status in _PASSING or not status:
        return errors.TransientError(
            f"Triton does not take the window now ({status or 'no status'})",
            reason=outcomes.Reason.BACKEND_UNAVAILABLE,
            retry_after_s=1.0,
        )
    return errors.PermanentError(f"Triton refused the window ({status})", reason=outcomes.Reason.BACKEND_REFUSED)
