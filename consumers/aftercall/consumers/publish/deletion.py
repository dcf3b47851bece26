"""Delete what was made of a recording, for good: tombstone first, so that nothing comes back meanwhile or later."""

from __future__ import annotations

import contextlib
import datetime

from aftercall.consumers.publish import objects, outcome, topic
from aftercall.contracts import documents, errors, events, identity, outcomes


async def delete(
    store: objects.ObjectStore, news: topic.News, recording: identity.Recording, *, now: datetime.datetime
) -> int:
    """Delete every transcript of a recording, and tell of it; return how many objects there were.

    The tombstone is written first and never removed: work that is open then sees it after publishing, and every later
    delivery or replay before it begins. Outcomes stay; they hold ids, never words. Safe to repeat, and to be killed in
    the middle of: then repeat it.
    """
    tombstone = outcomes.Tombstone(tenant=recording.tenant, recording_id=recording.recording_id, deleted_at=now)
    with contextlib.suppress(errors.AlreadyExistsError):
        await store.create(recording.tombstone_key, documents.encode(tombstone))
    calls = await outcome.Reader(store).calls_of(recording) or [recording.recording_id]
    gone = await store.keys(recording.transcripts_prefix)
    for folder in ("checkpoints", "claims", "quarantine", identity.COMPARISONS):
        gone += await store.keys(f"{folder}/{recording.prefix}/")
    for call_id in calls:
        copy = identity.current_copy_key(recording.tenant, call_id)
        shown = await store.get(copy)
        if shown is not None and outcome.recording_of(shown, what=copy) == recording.recording_id:
            gone.append(copy)
    for key in gone:
        await store.delete(key)
    told = events.RecordingDeleted(
        tenant=recording.tenant, call_id=calls[0], recording_id=recording.recording_id, deleted_at=now
    )
    await news.append(events.deleted(told, source=outcome.SOURCE))
    return len(gone)
