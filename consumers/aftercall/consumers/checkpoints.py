"""Window results kept while their call is open, so that a kill or a drain loses little.

Windows of equal audio are byte-identical on every run, so a result is found again by what was asked: the audio,
the options, and the model that answered. A call's results are dropped once its outcome is durable.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import pydantic

from aftercall.contracts import identity, windows

_RESULT = pydantic.TypeAdapter(windows.WindowResult)


class Checkpoints(Protocol):
    """Where results of open calls are kept; losing them costs work, never correctness."""

    async def get(self, work: identity.Work, digest: str) -> bytes | None:
        """Return the stored result of this question, if any."""
        ...

    async def put(self, work: identity.Work, digest: str, result: bytes) -> None:
        """Store the result of this question."""
        ...

    async def clear(self, work: identity.Work) -> None:
        """Forget every result of this work."""
        ...


class NoCheckpoints:
    """Keep nothing: for one-off transcriptions that are simply run again."""

    async def get(self, work: identity.Work, digest: str) -> bytes | None:
        """Find nothing."""
        return None

    async def put(self, work: identity.Work, digest: str, result: bytes) -> None:
        """Store nothing."""

    async def clear(self, work: identity.Work) -> None:
        """Forget nothing."""


def digest_of(window: windows.Window, info: windows.BackendInfo) -> str:
    """Return the SHA-256 of what is asked and of whom; not of the window's id, which names a place, not a question."""
    asked = repr((info.backend, info.model, info.revision, info.precision, window.options))
    return hashlib.sha256(asked.encode() + b"\x00" + window.pcm).hexdigest()


def encode(result: windows.WindowResult) -> bytes:
    """Encode a result as JSON."""
    return _RESULT.dump_json(result)


def decode(data: bytes) -> windows.WindowResult | None:
    """Decode a stored result; None when it was written by a version whose results look different."""
    try:
        return _RESULT.validate_json(data)
    except pydantic.ValidationError:
        return None
