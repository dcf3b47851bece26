"""Small values and fakes that several tests share."""

from __future__ import annotations

import datetime

from aftercall.consumers.intake import delivery
from aftercall.consumers.publish import topic
from aftercall.contracts import events, identity, outcomes, transcript, windows

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)

REJECTED = outcomes.Outcome(
    kind=outcomes.Kind.REJECTED,
    reason=outcomes.Reason.EMPTY_FILE,
    tenant="acme",
    call_id="c",
    recording_id="c",
    version="v1",
    generation=1,
    transcription_id="t",
    decided_at=NOW,
)


def event(call_id: str = "c1", tenant: str = "acme", **changes: object) -> events.RecordingReady:
    """Build an event of a recording whose version is known."""
    fields: dict[str, object] = {
        "tenant": tenant,
        "call_id": call_id,
        "recording_id": call_id,
        "recording_uri": f"file:///in/{tenant}/{call_id}.wav",
        "version": "v1",
    }
    return events.RecordingReady.model_validate({**fields, **changes})


def taken(call_id: str = "c1", *, attempts: int = 1, strikes: int = 0, generation: int = 1) -> delivery.Delivery:
    """Build a delivery of it."""
    told = event(call_id, generation=generation)
    work = identity.Work(told.recording, "v1", generation)
    return delivery.Delivery(work, told, attempts=attempts, strikes=strikes, queued_at=0.0)


def made(
    call_id: str = "c1", *, generation: int = 1, texts: tuple[str, ...] = ("hello there",), sha256: str = "ab"
) -> transcript.Transcript:
    """Build a transcript with one segment a text."""
    segments = tuple(
        transcript.Segment(
            id=at,
            channel=at % 2,
            speaker=f"S{at % 2 + 1}",
            start_s=at * 2.0,
            end_s=at * 2.0 + 1.5,
            text=text,
            words=tuple(
                transcript.Word(
                    text=word, start_s=at * 2 + place * 0.2, end_s=at * 2 + place * 0.2 + 0.15, confidence=0.9
                )
                for place, word in enumerate(text.split())
            ),
        )
        for at, text in enumerate(texts)
    )
    return transcript.Transcript(
        transcription_id=identity.Work(identity.Recording("acme", call_id), "v1", generation).transcription_id,
        tenant="acme",
        call_id=call_id,
        recording_id=call_id,
        version="v1",
        generation=generation,
        created_at=NOW,
        language="en",
        language_source="detected",
        audio=transcript.Audio(
            duration_s=10.0,
            channels=2,
            channel_layout="stereo",
            sample_rate_hz=8000,
            codec="flac",
            container="flac",
            size_bytes=100,
            sha256=sha256,
        ),
        model=transcript.Model(backend="fake", name="fake", revision="1", precision=None, options={}),
        channels=(),
        speakers=(
            transcript.Speaker(id="S1", name="Alice", channel=0, role="agent", role_source="metadata"),
            transcript.Speaker(id="S2", name="Customer", channel=1, role="customer", role_source="metadata"),
        ),
        segments=segments,
        coverage=transcript.Coverage(speech_s=5.0, covered_s=4.0, ratio=0.8),
        cost=transcript.Cost(audio_s=20.0, window_s=9.0, windows=2, retried_windows=0),
        timings_s={},
    )


class ListTopic:
    """A topic in a list; implements `topic.Topic`."""

    def __init__(self) -> None:
        self.events: list[events.Event] = []
        self.commits: dict[str, int] = {}

    async def append(self, new: events.Event) -> None:
        """Keep an event once."""
        if new.id not in {known.id for known in self.events}:
            self.events.append(new)

    async def read(self, group: str, *, limit: int) -> list[topic.Record]:
        """Return what the group has not committed."""
        start = self.commits.get(group, 0)
        return [topic.Record(at + 1, each) for at, each in enumerate(self.events) if at >= start][:limit]

    async def commit(self, group: str, position: int) -> None:
        """Record the group's progress."""
        self.commits[group] = max(position, self.commits.get(group, 0))


def result(text: str, words: list[tuple[str, float, float]] | None = None, **changes: object) -> windows.WindowResult:
    """Build a window result with the given words."""
    fields: dict[str, object] = {
        "window_id": "w",
        "text": text,
        "words": None if words is None else tuple(windows.Word(*word, 0.9) for word in words),
        "segments": (),
        "language": "en",
        "language_probability": 0.9,
        "avg_logprob": -0.2,
        "no_speech_probability": 0.01,
        "temperature": 0.0,
    }
    return windows.WindowResult(**{**fields, **changes})  # type: ignore[arg-type]
