"""Whatever is written can be read, and is the same again."""

from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from aftercall.contracts import documents, events, outcomes, transcript

IDS = st.text("abcXYZ 0123()é通話._-", min_size=1, max_size=40).filter(
    lambda text: text.strip() and text not in {".", ".."}
)
MOMENTS = st.datetimes(
    min_value=datetime.datetime(2000, 1, 1), max_value=datetime.datetime(2100, 1, 1), timezones=st.just(datetime.UTC)
)
SECONDS = st.floats(min_value=0, max_value=1e6, allow_nan=False)
SHARES = st.floats(min_value=0, max_value=1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
CHANNELS = st.lists(
    st.builds(events.Channel, index=st.integers(0, 63), role=st.none() | st.text("abc é通", min_size=1, max_size=10)),
    unique_by=lambda channel: channel.index,
    max_size=4,
).map(tuple)
RECORDINGS = st.builds(
    events.RecordingReady,
    tenant=IDS,
    call_id=IDS,
    recording_id=IDS,
    recording_uri=st.text("abc:/.", min_size=1, max_size=30),
    version=st.none() | st.text(max_size=20),
    generation=st.integers(1, 1000),
    channels=CHANNELS,
    language=st.none() | st.sampled_from(["en", "es"]),
    duration_s=st.none() | SECONDS,
    started_at=st.none() | MOMENTS,
    metadata=st.dictionaries(st.text(max_size=8), JSON, max_size=3),
)
WORDS = st.builds(
    transcript.Word, text=st.text(max_size=10), start_s=SECONDS, end_s=SECONDS, confidence=st.none() | SHARES
)
SEGMENTS = st.builds(
    transcript.Segment,
    id=st.integers(0, 1000),
    channel=st.integers(0, 7),
    speaker=st.just("S1"),
    start_s=SECONDS,
    end_s=SECONDS,
    text=st.text(max_size=40),
    words=st.lists(WORDS, max_size=3).map(tuple),
    flags=st.lists(st.sampled_from(transcript.Flag), max_size=2).map(tuple),
)
TRANSCRIPTS = st.builds(
    transcript.Transcript,
    transcription_id=st.text(min_size=1, max_size=10),
    tenant=IDS,
    call_id=IDS,
    recording_id=IDS,
    version=st.text(max_size=10),
    generation=st.integers(1, 9),
    created_at=MOMENTS,
    language=st.none() | st.just("en"),
    language_source=st.sampled_from(["requested", "detected", "none"]),
    audio=st.builds(
        transcript.Audio,
        duration_s=SECONDS,
        channels=st.integers(1, 8),
        channel_layout=st.none() | st.just("stereo"),
        sample_rate_hz=st.integers(1, 192000),
        codec=st.just("flac"),
        container=st.just("flac"),
        size_bytes=st.integers(0, 10**9),
        sha256=st.just("0" * 64),
    ),
    model=st.builds(
        transcript.Model,
        backend=st.just("fake"),
        name=st.text(max_size=5),
        revision=st.just("1"),
        precision=st.none(),
        options=st.dictionaries(st.text(max_size=5), JSON, max_size=2),
    ),
    channels=st.just(()),
    speakers=st.just(()),
    segments=st.lists(SEGMENTS, max_size=3).map(tuple),
    coverage=st.builds(transcript.Coverage, speech_s=SECONDS, covered_s=SECONDS, ratio=st.none() | SHARES),
    cost=st.builds(
        transcript.Cost,
        audio_s=SECONDS,
        window_s=SECONDS,
        windows=st.integers(0, 99),
        retried_windows=st.integers(0, 99),
    ),
    timings_s=st.dictionaries(st.text(max_size=5), SECONDS, max_size=2),
)


@given(RECORDINGS, MOMENTS)
def test_events_survive_the_wire(data: events.RecordingReady, now: datetime.datetime) -> None:
    """parse(encode(event)) == event."""
    event = events.recording_ready(data, source="test", now=now)

    assert event == events.parse(events.encode(event))


@given(TRANSCRIPTS)
def test_transcripts_survive_the_store(made: transcript.Transcript) -> None:
    """parse(encode(transcript)) == transcript."""
    assert made == documents.parse(transcript.Transcript, documents.encode(made), what="transcript")


@given(
    st.builds(
        outcomes.Outcome,
        kind=st.sampled_from([outcomes.Kind.REJECTED, outcomes.Kind.DEAD]),
        reason=st.sampled_from(outcomes.Reason),
        message=st.text(max_size=50),
        tenant=IDS,
        call_id=IDS,
        recording_id=IDS,
        version=st.text(max_size=10),
        generation=st.integers(1, 9),
        transcription_id=st.text(max_size=10),
        attempts=st.integers(1, 9),
        decided_at=MOMENTS,
        transcript_key=st.none(),
    )
)
def test_outcomes_survive_the_store(outcome: outcomes.Outcome) -> None:
    """parse(encode(outcome)) == outcome."""
    assert outcome == documents.parse(outcomes.Outcome, documents.encode(outcome), what="outcome")
