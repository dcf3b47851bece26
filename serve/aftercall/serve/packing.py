"""A request as one body, for transports that carry one: the head's length in four bytes, the head, the samples."""

from __future__ import annotations

from aftercall.serve import wire

WINDOWS_PATH = "/v1/windows"
TURNS_PATH = "/v1/turns"
_LENGTH_BYTES = 4


def max_bytes(max_pcm_bytes: int) -> int:
    """Return how long a body may be with so many bytes of samples."""
    return _LENGTH_BYTES + wire.MAX_HEAD_BYTES + max_pcm_bytes


def pack(head: bytes, pcm: bytes) -> bytes:
    """Return the body of a request."""
    return len(head).to_bytes(_LENGTH_BYTES, "big") + head + pcm


def unpack(body: bytes) -> tuple[bytes, bytes]:
    """Return head and samples; raise `ValueError` for what is no request."""
    ends = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
    if len(body) < _LENGTH_BYTES or ends > len(body):
        raise ValueError(f"{len(body)} bytes are no request: its head would end at {ends}")
    return body[_LENGTH_BYTES:ends], body[ends:]
