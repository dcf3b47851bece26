"""Checkpoints of long calls in the object store: many results an object, so that they cost few requests.

A call of three hours has about 700 windows. They are written together, about every half minute, and when the process is
told to stop; so a kill costs half a minute of that call, and a drain nothing. What is shorter is done again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import time
from collections.abc import Callable

from aftercall.consumers.publish import objects
from aftercall.contracts import errors, identity

_LONG_WINDOWS = 20
"""Windows of at most 30 s that ten minutes of speech come to at least."""
_EVERY_S = 30.0


@dataclasses.dataclass(slots=True)
class _Kept:
    """Results of one open call: what was found, and what is not written yet."""

    found: dict[str, bytes]
    fresh: dict[str, bytes] = dataclasses.field(default_factory=dict)
    written_at_s: float = 0.0
    n_heard: int = 0
    n_objects: int = 0


class SavedCheckpoints:
    """Implements `checkpoints.Checkpoints` for the work that was opened; losing an object costs work, nothing else."""

    def __init__(self, store: objects.ObjectStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._open: dict[identity.Work, _Kept] = {}

    async def open(self, work: identity.Work, *, is_first: bool) -> None:
        """Begin with a piece of work; unless it is the first attempt, what earlier ones left is read."""
        kept = _Kept({}, written_at_s=self._clock())
        if not is_first:
            for key in await self._store.keys(work.checkpoints_prefix):
                data = await self._store.get(key)
                kept.found |= _decode(data)
                kept.n_objects += 1
        self._open[work] = kept

    async def get(self, work: identity.Work, digest: str) -> bytes | None:
        """Return the stored result of this question, if any."""
        kept = self._open.get(work)
        return None if kept is None else kept.found.get(digest)

    async def put(self, work: identity.Work, digest: str, result: bytes) -> None:
        """Store the result of this question, sooner or later."""
        kept = self._open.get(work)
        if kept is None:
            return
        kept.fresh[digest] = result
        kept.n_heard += 1
        if kept.n_heard >= _LONG_WINDOWS and self._clock() - kept.written_at_s >= _EVERY_S:
            await self._write(work, kept)

    async def clear(self, work: identity.Work) -> None:
        """Forget every result of this work."""
        kept = self._open.pop(work, None)
        if kept is not None and kept.n_objects:
            for key in await self._store.keys(work.checkpoints_prefix):
                await self._store.delete(key)

    async def leave(self, work: identity.Work) -> None:
        """Write what is not written yet: the work is handed back, and another process goes on with it."""
        kept = self._open.pop(work, None)
        if kept is not None and kept.fresh and kept.n_heard >= _LONG_WINDOWS:
            await asyncio.shield(self._write(work, kept))

    async def _write(self, work: identity.Work, kept: _Kept) -> None:
        fresh, kept.fresh = kept.fresh, {}
        kept.written_at_s = self._clock()
        kept.n_objects += 1
        data = json.dumps({digest: result.decode() for digest, result in fresh.items()}).encode()
        try:
            await self._store.put(f"{work.checkpoints_prefix}{secrets.token_hex(8)}.json", data)
        except errors.TransientError:
            kept.fresh = fresh | kept.fresh


def _decode(data: bytes | None) -> dict[str, bytes]:
    try:
        return {str(digest): str(result).encode() for digest, result in json.loads(data or b"{}").items()}
    except (ValueError, AttributeError):
        return {}
