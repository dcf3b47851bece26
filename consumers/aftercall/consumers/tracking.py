"""Where a call is, told by what lies in S3 and on the topics alone: no part of the platform has to answer."""

from __future__ import annotations

import asyncio
import collections
import json
from collections.abc import Sequence

from aftercall.consumers.intake import browse, claims, parking, sources
from aftercall.consumers.publish import objects
from aftercall.contracts import documents, errors, events, identity, outcomes, reports


class Tracker:
    """Finds work by a call's or recording's id. `topics` are read for what no consumer has begun with."""

    def __init__(
        self,
        store: objects.ObjectStore,
        browser: browse.Browser,
        *,
        topics: Sequence[str],
        group: str,
        templates: Sequence[sources.KeyTemplate],
    ) -> None:
        self._store = store
        self._browser = browser
        self._topics = topics
        self._group = group
        self._templates = templates

    async def find(self, tenant: str, id_: str) -> list[reports.WorkReport]:
        """Return every generation of every recording of this id, newest first; then what waits on topics."""
        index = identity.call_prefix(tenant, id_)
        ids = {id_} | {await self._recording_of(key) for key in await self._store.keys(index)}
        found: list[reports.WorkReport] = []
        for recording_id in sorted(ids):
            found += await self._generations(identity.Recording(tenant, recording_id))
        begun = {(one.recording_id, one.generation) for one in found}
        waiting = await asyncio.to_thread(self._waiting, tenant, id_)
        found += [one for one in waiting if (one.recording_id, one.generation) not in begun]
        return sorted(found, key=lambda one: (one.updated_at, one.generation), reverse=True)

    async def find_transcription(self, transcription_id: str) -> reports.WorkReport | None:
        """Return the work of this id; None until somebody has begun with it."""
        data = await self._store.get(identity.lookup_key(transcription_id))
        if data is None:
            return None
        named = json.loads(data)
        every = await self._generations(identity.Recording(**named["recording"]))
        return next((one for one in every if one.transcription_id == transcription_id), None)

    async def _recording_of(self, key: str) -> str:
        data = await self._store.get(key)
        return "" if data is None else data.decode()

    async def _generations(self, recording: identity.Recording) -> list[reports.WorkReport]:
        ended = [
            one for one in await self._store.listing(recording.outcomes_prefix) if one[0] != recording.tombstone_key
        ]
        begun = await self._store.listing(recording.claims_prefix)
        latest: dict[str, tuple[int, str, float]] = {}
        first: dict[str, float] = {}
        for key, at_s in begun:
            stem, _, name = key.rpartition("/")
            work = stem.removeprefix(recording.claims_prefix)
            attempt = int(name.removesuffix(".json"))
            latest[work] = max(latest.get(work, (0, "", 0.0)), (attempt, key, at_s))
            first[work] = min(first.get(work, at_s), at_s)
        found = []
        for key, at_s in ended:
            work = key.removeprefix(recording.outcomes_prefix).removesuffix(".json")
            outcome = documents.parse(outcomes.Outcome, await self._store.get(key) or b"", what=key)
            _, claim_key, _ = latest.pop(work, (0, "", 0.0))
            claim = await self._claim(claim_key)
            found.append(_ended(outcome, claim, queued_at=first.get(work, at_s), updated_at=at_s))
        for work, (_, key, at_s) in latest.items():
            open_claim = await self._claim(key)
            if open_claim is not None:
                found.append(_open(recording, work, open_claim, queued_at=first[work], updated_at=at_s))
        return found

    async def _claim(self, key: str) -> claims.Claim | None:
        data = await self._store.get(key) if key else None
        return None if data is None else documents.parse(claims.Claim, data, what=key)

    def _waiting(self, tenant: str, id_: str) -> list[reports.WorkReport]:
        """Return what no consumer has begun with; the position counts unfinished records before it in its partition."""
        found = []
        for topic in self._topics:
            before: collections.Counter[int] = collections.Counter()
            for record in self._browser.unfinished(topic, group=self._group):
                try:
                    ready = sources.read(record.value, record.headers, templates=self._templates).ready
                except errors.ContractError:
                    ready = ()
                for event in ready:
                    if event.tenant == tenant and id_ in {event.call_id, event.recording_id}:
                        why = dict(record.headers).get(parking.WHY, b"").decode(errors="replace")
                        position = before[record.place.partition]
                        found.append(_queued(event, topic, why, position, record.timestamp_s))
                before[record.place.partition] += 1
        return found


def _ended(
    outcome: outcomes.Outcome, claim: claims.Claim | None, *, queued_at: float, updated_at: float
) -> reports.WorkReport:
    is_canonical = outcome.kind is outcomes.Kind.CANONICAL
    return reports.WorkReport(
        transcription_id=outcome.transcription_id,
        tenant=outcome.tenant,
        call_id=outcome.call_id,
        recording_id=outcome.recording_id,
        version=outcome.version,
        generation=outcome.generation,
        status=reports.Status.COMPLETED if is_canonical else reports.Status.FAILED,
        stage=reports.Stage.DONE,
        attempts=outcome.attempts,
        message=outcome.message,
        audio_s=None if claim is None else claim.audio_s,
        outcome=outcome.kind,
        reason=outcome.reason,
        consumer=None if claim is None else claim.owner,
        trace_id=None if claim is None else claim.trace_id,
        queued_at=queued_at,
        updated_at=updated_at,
    )


def _open(
    recording: identity.Recording, work: str, claim: claims.Claim, *, queued_at: float, updated_at: float
) -> reports.WorkReport:
    version, _, generation = work.rpartition("/")
    event = claim.event
    known = identity.Work(recording, event.version or version if event is not None else version, int(generation))
    return reports.WorkReport(
        transcription_id=known.transcription_id,
        tenant=recording.tenant,
        call_id=recording.recording_id if event is None else event.call_id,
        recording_id=recording.recording_id,
        version=known.version,
        generation=known.generation,
        status=reports.Status.QUEUED if claim.ended else reports.Status.PROCESSING,
        stage=reports.Stage.QUEUED if claim.ended else claim.stage,
        progress=claim.progress,
        attempts=claim.attempt,
        waiting_reason=claim.reason if claim.ended else None,
        message=claim.message,
        audio_s=claim.audio_s,
        consumer=claim.owner,
        trace_id=claim.trace_id,
        queued_at=queued_at,
        updated_at=updated_at,
    )


def _queued(event: events.RecordingReady, topic: str, why: str, position: int, at_s: float) -> reports.WorkReport:
    work = identity.Work(event.recording, event.version or "", event.generation)
    return reports.WorkReport(
        transcription_id=work.transcription_id if event.version is not None else "",
        tenant=event.tenant,
        call_id=event.call_id,
        recording_id=event.recording_id,
        version=work.version,
        generation=event.generation,
        status=reports.Status.QUEUED,
        stage=reports.Stage.QUEUED,
        attempts=0,
        queue_position=position,
        message=f"put aside on {topic} ({why})" if why else f"on {topic}",
        audio_s=None if event.duration_s is None else event.duration_s * max(1, len(event.channels)),
        queued_at=at_s,
        updated_at=at_s,
    )
