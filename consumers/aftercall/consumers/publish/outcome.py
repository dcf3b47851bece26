"""Decide a generation's outcome once, and make it known at least once.

The order is what makes it safe to be killed anywhere: the transcript under a key made of its content; then the
create-only outcome that names it, which decides; then the copy for people; then the news. Whoever finds the outcome
decided adopts it and does the rest of the steps again, each of which changes nothing the second time.
"""

from __future__ import annotations

import datetime
import hashlib
import typing
from collections.abc import Callable

import pydantic

from aftercall.consumers.publish import objects, topic
from aftercall.contracts import documents, errors, events, identity, outcomes, transcript

SOURCE = "aftercall"


class _Audio(pydantic.BaseModel):
    duration_s: float


class _Cost(pydantic.BaseModel):
    audio_s: float


class _Head(pydantic.BaseModel):
    """What of a transcript decides and tells its news, without the words: a day's call has 100,000 of them."""

    recording_id: str
    version: str
    generation: int
    language: str | None
    audio: _Audio
    cost: _Cost


class Reader:
    """Reads outcomes and transcripts from the object store."""

    def __init__(self, store: objects.ObjectStore) -> None:
        self._store = store

    async def read(self, work: identity.Work) -> outcomes.Outcome | None:
        """Return how this generation ended; None when it has not."""
        data = await self._store.get(work.outcome_key)
        return None if data is None else documents.parse(outcomes.Outcome, data, what=work.outcome_key)

    async def read_transcript(self, outcome: outcomes.Outcome) -> transcript.Transcript | None:
        """Return the transcript that a canonical outcome names; None for other outcomes and after a deletion."""
        data = await self._read_bytes(outcome)
        return None if data is None else documents.parse(transcript.Transcript, data, what=str(outcome.transcript_key))

    async def is_deleted(self, recording: identity.Recording) -> bool:
        """Say whether the recording has been deleted on purpose."""
        return await self._store.get(recording.tombstone_key) is not None

    async def calls_of(self, recording: identity.Recording) -> list[str]:
        """Return the calls that a recording's outcomes name, in order; usually one."""
        found = set()
        for key in await self._store.keys(recording.outcomes_prefix):
            data = await self._store.get(key) if key != recording.tombstone_key else None
            if data is not None:
                found.add(documents.parse(outcomes.Outcome, data, what=key).call_id)
        return sorted(found)

    async def _read_bytes(self, outcome: outcomes.Outcome) -> bytes | None:
        if outcome.transcript_key is None:
            return None
        if await self.is_deleted(identity.Recording(outcome.tenant, outcome.recording_id)):
            return None
        return await self._store.get(outcome.transcript_key)


class Publisher(Reader):
    """Writes outcomes and transcripts to the object store and their news to the topic."""

    def __init__(
        self,
        store: objects.ObjectStore,
        news: topic.News,
        *,
        on_conflict: Callable[[outcomes.Outcome], None] = lambda _: None,
    ) -> None:
        super().__init__(store)
        self._news = news
        self._on_conflict = on_conflict

    async def publish_transcript(
        self, work: identity.Work, made: transcript.Transcript, *, attempts: int, now: datetime.datetime
    ) -> outcomes.Outcome:
        """Publish a transcript, unless this generation was decided already: then adopt that outcome.

        Two honest runs differ in bytes, and one of them is dropped. If the other heard another recording under the
        same identity, that is a conflict: what this one made is kept in quarantine, and `on_conflict` told.
        """
        data = documents.encode(made)
        digest = hashlib.sha256(data).hexdigest()
        key = work.recording.transcript_key(digest)
        await self._store.put(key, data)
        outcome = outcomes.Outcome(
            kind=outcomes.Kind.CANONICAL,
            reason=outcomes.Reason.DONE,
            transcript_key=key,
            input_sha256=made.audio.sha256,
            **_identity_of(work, made.call_id),
            attempts=attempts,
            replay_of=made.replay_of,
            decided_at=now,
        )
        decided = await self._decide(work, outcome)
        if decided.transcript_key != key:
            if decided.input_sha256 not in {None, outcome.input_sha256}:
                await self._store.put(work.quarantine_key(digest), data)
                self._on_conflict(decided)
            await self._store.delete(key)
        await self.announce(decided)
        return decided

    async def publish_failure(
        self,
        work: identity.Work,
        event: events.RecordingReady,
        kind: outcomes.Kind,
        reason: outcomes.Reason,
        message: str,
        *,
        attempts: int,
        now: datetime.datetime,
    ) -> outcomes.Outcome:
        """Publish that this generation ended without a transcript, unless it was decided already."""
        outcome = outcomes.Outcome(
            kind=kind,
            reason=reason,
            message=message,
            **_identity_of(work, event.call_id),
            attempts=attempts,
            replay_of=event.replay_of,
            decided_at=now,
        )
        decided = await self._decide(work, outcome)
        await self.announce(decided)
        return decided

    async def announce(self, outcome: outcomes.Outcome) -> None:
        """Do what follows a decision: the copy for people, and the news. Safe to repeat."""
        data = await self._read_bytes(outcome)
        if outcome.kind is outcomes.Kind.CANONICAL and data is None:
            # Deleted meanwhile: a tombstone beats every outcome, so there is no news of it, and nothing is left.
            if outcome.transcript_key is not None:
                await self._store.delete(outcome.transcript_key)
            return
        head = None
        if data is not None:
            head = documents.parse(_Head, data, what=str(outcome.transcript_key))
            await self._copy_for_people(outcome, data)
        await self._news.append(events.decided(_news_of(outcome, head), source=SOURCE))

    async def _decide(self, work: identity.Work, outcome: outcomes.Outcome) -> outcomes.Outcome:
        try:
            await self._store.create(work.outcome_key, documents.encode(outcome))
        except errors.AlreadyExistsError as exc:
            decided = await self.read(work)
            if decided is None:  # created and gone again: somebody tidied up; the next attempt decides anew
                raise errors.TransientError(
                    "the outcome vanished while it was read", reason=outcomes.Reason.STORE_UNAVAILABLE
                ) from exc
            return decided
        return outcome

    async def _copy_for_people(self, outcome: outcomes.Outcome, data: bytes) -> None:
        """Keep `transcripts/{tenant}/{call_id}.json` at the highest canonical generation."""
        key = identity.current_copy_key(outcome.tenant, outcome.call_id)
        there = await self._store.get(key)
        if there is not None:
            shown = documents.parse(_Head, there, what=key)
            same_version = (shown.recording_id, shown.version) == (outcome.recording_id, outcome.version)
            if same_version and shown.generation >= outcome.generation:
                return
        await self._store.put(key, data)
        if await self.is_deleted(identity.Recording(outcome.tenant, outcome.recording_id)):
            await self._store.delete(key)


def recording_of(data: bytes, *, what: str) -> str:
    """Return the id of the recording that a transcript is of."""
    return documents.parse(_Head, data, what=what).recording_id


def _identity_of(work: identity.Work, call_id: str) -> dict[str, typing.Any]:
    return {
        "tenant": work.recording.tenant,
        "call_id": call_id,
        "recording_id": work.recording.recording_id,
        "version": work.version,
        "generation": work.generation,
        "transcription_id": work.transcription_id,
    }


def _news_of(outcome: outcomes.Outcome, head: _Head | None) -> events.TranscriptReady | events.TranscriptFailed:
    names: dict[str, typing.Any] = {
        name: getattr(outcome, name)
        for name in ("tenant", "call_id", "recording_id", "version", "generation", "transcription_id", "decided_at")
    }
    if head is None:
        names |= {"kind": outcome.kind, "reason": outcome.reason, "message": outcome.message}
        return events.TranscriptFailed(**names)
    names |= {"transcript_key": outcome.transcript_key, "language": head.language}
    return events.TranscriptReady(**names, duration_s=head.audio.duration_s, audio_s=head.cost.audio_s)
