"""Shadow mode: a second backend hears a share of the recordings, and only how far the two agree is kept.

That is how another model is tried on real calls before it is trusted with any. No text of it is stored, nothing waits
for it, and nothing of it reaches a tenant's bill, rows or webhooks.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable

import pydantic

from aftercall.consumers import observer
from aftercall.consumers.evaluation import score
from aftercall.consumers.intake import delivery
from aftercall.consumers.publish import objects
from aftercall.contracts import documents, errors, identity, metrics, transcript

log = logging.getLogger(__name__)

Transcribe = Callable[[delivery.Delivery], Awaitable[transcript.Transcript]]
_SCALE = 1 << 32


class Side(pydantic.BaseModel):
    """One of the two transcripts, in figures."""

    model: transcript.Model
    words: int
    coverage: float | None
    dropped: int
    retried_windows: int
    flags: tuple[transcript.Flag, ...]
    speech_s: float | None
    """Seconds that its windows waited and took, all together."""


class Comparison(pydantic.BaseModel):
    """How far two backends agree on a recording; `failure` says why the second has no transcript."""

    transcription_id: str
    tenant: str
    call_id: str
    audio_s: float
    first: Side
    second: Side | None
    compared_words: int
    differing_words: int
    failure: str | None
    compared_at: datetime.datetime


class Shadow:
    """Compares one recording at a time, in the background; what comes meanwhile is left out."""

    def __init__(
        self,
        transcribe: Transcribe,
        store: objects.ObjectStore,
        *,
        share: float,
        observe: observer.Observer,
        now: Callable[[], datetime.datetime],
    ) -> None:
        self._transcribe = transcribe
        self._store = store
        self._share = share
        self._observe = observe
        self._now = now
        self._running: asyncio.Task[None] | None = None

    def consider(self, taken: delivery.Delivery, made: transcript.Transcript) -> None:
        """Compare a recording whose transcript has been published, if it is in the share and nothing else runs."""
        if not is_sampled(taken.work, self._share):
            return
        if self._running is not None and not self._running.done():
            self._observe.add(metrics.SHADOW_RECORDINGS, result="left_out")
            return
        self._running = asyncio.create_task(self._compare(taken, made), name="shadow")

    async def close(self) -> None:
        """Stop; a comparison that is under way is given up."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _compare(self, taken: delivery.Delivery, made: transcript.Transcript) -> None:
        try:
            other, failure = await self._transcribe(taken), None
        except errors.AftercallError as exc:
            other, failure = None, errors.sentence(exc)
        except Exception as exc:
            # Whatever a model on trial does, the calls go on.
            log.exception("shadow failed", extra={"transcription_id": made.transcription_id})
            other, failure = None, f"{type(exc).__name__} inside aftercall"
        words = score.Words() if other is None else await asyncio.to_thread(score.agreement, made, other)
        found = Comparison(
            transcription_id=made.transcription_id,
            tenant=made.tenant,
            call_id=made.call_id,
            audio_s=made.cost.audio_s,
            first=_side(made),
            second=None if other is None else _side(other),
            compared_words=words.reference,
            differing_words=words.errors,
            failure=failure,
            compared_at=self._now(),
        )
        try:
            if await self._store.get(taken.work.recording.tombstone_key) is None:
                await self._store.put(comparison_key(taken.work), documents.encode(found))
        except errors.TransientError as exc:
            log.warning("comparison not kept", extra={"reason": exc.reason})
        self._observe.add(metrics.SHADOW_RECORDINGS, result="failed" if other is None else "compared")
        self._observe.add(metrics.SHADOW_WORDS, words.reference, kind="compared")
        self._observe.add(metrics.SHADOW_WORDS, words.errors, kind="differing")


def is_sampled(work: identity.Work, share: float) -> bool:
    """Say whether work is in the share: the same work always is or never is, on any consumer."""
    number = int(work.transcription_id.removeprefix("tr_")[:8], 16)
    return number < share * _SCALE


def comparison_key(work: identity.Work) -> str:
    """Where the comparison of a generation lies."""
    return f"{identity.COMPARISONS}/{work.recording.prefix}/{identity.key_part(work.version)}/{work.generation}.json"


def _side(made: transcript.Transcript) -> Side:
    return Side(
        model=made.model,
        words=made.word_count,
        coverage=made.coverage.ratio,
        dropped=len(made.dropped),
        retried_windows=made.cost.retried_windows,
        flags=made.flags,
        speech_s=made.timings_s.get("speech"),
    )
