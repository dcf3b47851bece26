"""Put a transcript document together: the only place that knows the whole of it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from aftercall.consumers.transcript import assemble, echo, heard, languages, speakers
from aftercall.contracts import diarization, events, identity, transcript, windows

LOW_COVERAGE = 0.6


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """Everything about one recording that its transcript tells; `requested_language` None means detected."""

    work: identity.Work
    event: events.RecordingReady
    audio: transcript.Audio
    truncated: bool
    channels: Sequence[heard.Channel]
    non_speech: Sequence[transcript.NonSpeech]
    heard_windows: Sequence[heard.HeardWindow]
    backend: windows.BackendInfo
    options: windows.Options
    vocabulary: tuple[str, ...]
    requested_language: str | None
    timings_s: Mapping[str, float]
    spoken: Spoken | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Spoken:
    """Who spoke when on a recording of one channel; without turns, speakers could not be told apart."""

    turns: Sequence[diarization.Turn]
    told_by: diarization.DiarizerInfo


def build(facts: Facts, *, now: datetime.datetime) -> transcript.Transcript:
    """Build the document of one recording."""
    good = [window for window in facts.heard_windows if window.verdict.accepted and not window.verdict.silent]
    placed = {id(window): assemble.words_of(window) for window in facts.heard_windows}
    turns = speakers.numbered(facts.spoken.turns) if facts.spoken is not None else []
    speaker_of = speakers.by_overlap(turns) if turns else lambda word: None
    spoken = [
        utterance
        for channel in range(len(facts.channels))
        for utterance in assemble.utterances(
            ((window, placed[id(window)]) for window in good if window.channel == channel), speaker_of
        )
    ]
    kept, echoes = echo.split(assemble.in_order(spoken), facts.channels)
    people = speakers.identify(len(facts.channels), facts.event.channels, kept)
    segments = tuple(_segment(at, utterance, people) for at, utterance in enumerate(kept))
    channels = tuple(
        _channel(index, channel, segments, people, facts.heard_windows) for index, channel in enumerate(facts.channels)
    )
    coverage = _coverage(facts, segments)
    language = facts.requested_language or languages.vote(facts.heard_windows)
    flags = [transcript.Flag.TRUNCATED] if facts.truncated else []
    if facts.spoken is not None and kept and not turns:
        flags.append(transcript.Flag.NO_SPEAKERS)
    if coverage.ratio is not None and coverage.ratio < LOW_COVERAGE:
        flags.append(transcript.Flag.LOW_COVERAGE)
    event = facts.event
    return transcript.Transcript(
        transcription_id=facts.work.transcription_id,
        tenant=event.tenant,
        call_id=event.call_id,
        recording_id=event.recording_id,
        version=facts.work.version,
        generation=facts.work.generation,
        created_at=now,
        started_at=event.started_at,
        language=language,
        language_source="requested" if facts.requested_language else "detected" if language else "none",
        audio=facts.audio,
        model=_model(facts),
        diarizer=_diarizer(facts.spoken) if turns else None,
        channels=channels,
        speakers=people,
        segments=segments,
        dropped=_dropped(facts, placed, echoes),
        non_speech=tuple(facts.non_speech),
        coverage=coverage,
        flags=tuple(flags),
        cost=transcript.Cost(
            audio_s=round(facts.audio.duration_s * len(facts.channels), 3),
            window_s=round(sum(window.duration_s for window in facts.heard_windows), 3),
            windows=len(facts.heard_windows),
            retried_windows=sum(window.attempts > 1 for window in facts.heard_windows),
        ),
        timings_s={stage: round(max(0.0, spent_s), 3) for stage, spent_s in facts.timings_s.items()},
        metadata=event.metadata,
        replay_of=event.replay_of,
    )


def _segment(at: int, utterance: heard.Utterance, people: Sequence[transcript.Speaker]) -> transcript.Segment:
    sure = [word.confidence for word in utterance.words if word.confidence is not None]
    return transcript.Segment(
        id=at,
        channel=utterance.channel,
        speaker=people[speakers.place_of(utterance)].id,
        start_s=utterance.start_s,
        end_s=utterance.end_s,
        text=utterance.text,
        words=utterance.words,
        language=utterance.language,
        confidence=round(sum(sure) / len(sure), 3) if sure else None,
        flags=utterance.flags,
    )


def _channel(
    index: int,
    channel: heard.Channel,
    segments: Sequence[transcript.Segment],
    people: Sequence[transcript.Speaker],
    found: Sequence[heard.HeardWindow],
) -> transcript.ChannelFacts:
    speech_s = heard.seconds(channel.speech)
    words = [word for segment in segments if segment.channel == index for word in segment.words]
    return transcript.ChannelFacts(
        index=index,
        role=people[index].role if len(people) > index and people[index].channel == index else None,
        speech_s=round(speech_s, 3),
        coverage=_ratio(assemble.covered_s(channel.speech, words), speech_s),
        language=languages.vote(window for window in found if window.channel == index),
    )


def _coverage(facts: Facts, segments: Sequence[transcript.Segment]) -> transcript.Coverage:
    speech_s = sum(heard.seconds(channel.speech) for channel in facts.channels)
    covered_s = sum(
        assemble.covered_s(
            channel.speech, [word for segment in segments if segment.channel == index for word in segment.words]
        )
        for index, channel in enumerate(facts.channels)
    )
    return transcript.Coverage(
        speech_s=round(speech_s, 3), covered_s=round(covered_s, 3), ratio=_ratio(covered_s, speech_s)
    )


def _ratio(covered_s: float, speech_s: float) -> float | None:
    return None if speech_s <= 0 else round(min(1.0, covered_s / speech_s), 4)


def _dropped(
    facts: Facts, placed: Mapping[int, Sequence[transcript.Word]], echoes: Sequence[heard.Utterance]
) -> tuple[transcript.Dropped, ...]:
    found = [
        transcript.Dropped(
            channel=each.channel,
            start_s=each.start_s,
            end_s=each.end_s,
            text=each.text,
            flags=(transcript.Flag.ECHO,),
        )
        for each in echoes
    ]
    for window in facts.heard_windows:
        words = placed[id(window)]
        if words and (window.verdict.silent or not window.verdict.accepted):
            found.append(
                transcript.Dropped(
                    channel=window.channel,
                    start_s=words[0].start_s,
                    end_s=max(word.end_s for word in words),
                    text=" ".join(word.text for word in words),
                    flags=window.verdict.flags,
                )
            )
    return tuple(sorted(found, key=lambda each: (each.start_s, each.channel)))


def _diarizer(spoken: Spoken | None) -> transcript.Diarizer | None:
    return None if spoken is None else transcript.Diarizer(**dataclasses.asdict(spoken.told_by))


def _model(facts: Facts) -> transcript.Model:
    options, heard_by = facts.options, {window.result.heard_by for window in facts.heard_windows}
    return transcript.Model(
        backend=facts.backend.backend,
        name=facts.backend.model,
        revision=facts.backend.revision,
        precision=facts.backend.precision,
        options={
            "task": str(options.task),
            "beam_size": options.beam_size,
            "trim": options.trim,
            "fill_prompt": options.fill_prompt,
            "timestamps": options.timestamps,
            "word_times": options.word_times,
            "vocabulary": list(facts.vocabulary),
        },
        others=tuple(sorted(heard_by - {None, facts.backend.signature})),  # type: ignore[arg-type]
    )
