"""Open the next generation of recordings that have ended: deliberate, beside the old one, and once."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable

from aftercall.consumers.intake import claims
from aftercall.consumers.publish import objects, outcome
from aftercall.contracts import documents, events, identity, outcomes

SOURCE = "aftercall/replay"
Ended = events.TranscriptReady | events.TranscriptFailed
"""The news of a generation that has ended."""


@dataclasses.dataclass(frozen=True, slots=True)
class Skip:
    """A recording that is not replayed, and why."""

    recording: identity.Recording
    why: str


class Replays:
    """Makes the events of replays out of what lies in the object store."""

    def __init__(self, store: objects.ObjectStore, *, model: str | None, now: datetime.datetime) -> None:
        self._store = store
        self._reader = outcome.Reader(store)
        self._model = model
        self._now = now

    async def plan(self, ended: identity.Work) -> events.Event | Skip:
        """Return the event that opens the next generation of a recording's version, or why there is none.

        A recording whose newest generation is still open is left alone, so that the same command twice replays once;
        so is one that `model` has heard already, and one that was deleted.
        """
        recording = ended.recording
        if await self._reader.is_deleted(recording):
            return Skip(recording, "deleted")
        prefix = ended.generations_prefix
        numbers = [key.removeprefix(prefix).split("/") for key in await self._store.keys(prefix)]
        if not numbers:
            return Skip(recording, "its claims are gone, and with them what announced it")
        newest = max(int(generation) for generation, _ in numbers)
        work = dataclasses.replace(ended, generation=newest)
        decided = await self._reader.read(work)
        if decided is None:
            return Skip(recording, f"generation {newest} is open already")
        if self._model is not None and decided.kind is outcomes.Kind.CANONICAL:
            made = await self._reader.read_transcript(decided)
            if made is not None and made.model.name == self._model:
                return Skip(recording, f"heard by {self._model} already")
        event = await self._announced(work)
        if event is None:
            return Skip(recording, "nobody noted what announced it")
        changes = {"version": work.version, "generation": newest + 1, "replay_of": newest, "model": self._model}
        return events.recording_ready(event.model_copy(update=changes), source=SOURCE, now=self._now)

    async def _announced(self, work: identity.Work) -> events.RecordingReady | None:
        key = work.claim_key(1)
        data = await self._store.get(key)
        return None if data is None else documents.parse(claims.Claim, data, what=key).event


def newest(news: Iterable[events.Event]) -> list[Ended]:
    """Return what the news tells of the newest generation of each version of each recording."""
    found: dict[tuple[str, str, str], Ended] = {}
    for event in news:
        data = event.data
        if isinstance(data, events.TranscriptReady | events.TranscriptFailed):
            of = data.tenant, data.recording_id, data.version
            if of not in found or data.generation >= found[of].generation:
                found[of] = data
    return list(found.values())


def kind_of(ended: Ended) -> outcomes.Kind:
    """Return how a generation ended."""
    return ended.kind if isinstance(ended, events.TranscriptFailed) else outcomes.Kind.CANONICAL


def work_of(ended: Ended) -> identity.Work:
    """Return which work ended."""
    return identity.Work(identity.Recording(ended.tenant, ended.recording_id), ended.version, ended.generation)
