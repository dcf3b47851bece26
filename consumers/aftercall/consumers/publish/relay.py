"""Carry the news of outcomes to ClickHouse, as a consumer group of its own: its outage never stops transcription."""

from __future__ import annotations

import asyncio
import logging

from aftercall.consumers import observer, tracing
from aftercall.consumers.publish import clickhouse, outcome, topic
from aftercall.contracts import errors, events, identity, metrics

log = logging.getLogger(__name__)

GROUP = "clickhouse"
_BATCH = 64
_BATCH_ROWS = 10_000
"""Segments in memory before they are inserted: a three-hour call has about 5,000."""
_IDLE_S = 0.5
_LONGEST_DELAY_S = 60.0


class ClickHouseRelay:
    """Reads the topic, loads each transcript, inserts its rows, and commits; what is delivered twice is idempotent."""

    def __init__(
        self,
        news: topic.Readable,
        publisher: outcome.Reader,
        sink: clickhouse.ClickHouse,
        observe: observer.Observer,
    ) -> None:
        self._news = news
        self._publisher = publisher
        self._sink = sink
        self._observe = observe

    async def run(self, stopping: asyncio.Event) -> None:
        """Carry until `stopping`; a failure is tried again, ever more slowly, up to once a minute."""
        delay_s = _IDLE_S
        opened = False
        while not stopping.is_set():
            try:
                if not opened:
                    await self._sink.open()
                    opened = True
                carried = await self.carry()
                delay_s = 0.0 if carried else _IDLE_S
            except errors.TransientError as exc:
                delay_s = min(_LONGEST_DELAY_S, max(1.0, delay_s * 2))
                self._observe.add(metrics.RELAY_FAILURES, sink=GROUP)
                log.warning("relay failed", extra={"sink": GROUP, "reason": exc.reason, "delay_s": delay_s})
            try:
                async with asyncio.timeout(delay_s):
                    await stopping.wait()
            except TimeoutError:
                pass
        if opened:
            await self._sink.close()

    async def carry(self) -> int:
        """Carry the next events, as many as fit one insert; return how many those were."""
        recordings: list[dict[str, object]] = []
        segments: list[dict[str, object]] = []
        deleted: list[identity.Recording] = []
        carried: list[topic.Record] = []
        for record in await self._news.read(GROUP, limit=_BATCH):
            if len(segments) >= _BATCH_ROWS:
                break
            carried.append(record)
            data = record.event.data
            if isinstance(data, events.RecordingReady):
                continue
            if isinstance(data, events.RecordingDeleted):
                recordings.append(clickhouse.deletion_row(data))
                deleted.append(identity.Recording(data.tenant, data.recording_id))
                continue
            work = identity.Work(identity.Recording(data.tenant, data.recording_id), data.version, data.generation)
            decided = await self._publisher.read(work)
            made = None if decided is None else await self._publisher.read_transcript(decided)
            if isinstance(data, events.TranscriptReady) and made is None:
                continue  # deleted meanwhile
            recordings.append(clickhouse.recording_row(data, made))
            segments += clickhouse.segment_rows(made) if made is not None else []
        if not carried:
            return 0
        with tracing.span("write rows", {"segments": len(segments)}, links=[record.trace for record in carried]):
            # Segments first: a recording's row is what makes them current.
            await self._sink.insert("segments", segments)
            await self._sink.insert("recordings", recordings)
            for recording in deleted:
                await self._sink.forget(recording)
        await self._news.commit(GROUP, carried[-1].position)
        return len(carried)
