"""How near a transcript comes to what was said: words, speakers, times and coverage of one call."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

from aftercall.consumers.evaluation import reference
from aftercall.contracts import transcript

Normalize = Callable[[str], str]


@dataclasses.dataclass(frozen=True, slots=True)
class Words:
    """Words of the reference, and what it takes to make the transcript of them."""

    reference: int = 0
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0

    @property
    def errors(self) -> int:
        """Everything that is wrong."""
        return self.substituted + self.deleted + self.inserted

    def __add__(self, other: Words) -> Words:
        """Add up."""
        return Words(*map(sum, zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


@dataclasses.dataclass(frozen=True, slots=True)
class Speakers:
    """Seconds of reference speech, and how many were given to nobody, to somebody wrong, or added."""

    reference_s: float
    error_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """One call's figures; None is what its reference or its transcript cannot tell."""

    words: Words
    speakers: Speakers | None
    word_starts_off_s: tuple[float, ...]
    speech_s: float
    covered_s: float
    audio_s: float
    dropped: int
    retried_windows: int


def score(told: reference.Reference, made: transcript.Transcript | None, *, language: str | None) -> Score:
    """Score a transcript; None, which is a call that failed, has every word missing.

    On several channels words are compared channel by channel where the reference tells channels: who spoke first of two
    who spoke at once is no error. Speakers' error is the diarization error rate without a collar, overlaps included.
    """
    normalize = _normalizer(language or (made.language if made is not None else None))
    return Score(
        words=sum((_words(said, heard, normalize) for said, heard in _sides(told, made)), Words()),
        speakers=_speakers(told, made) if made is not None else None,
        word_starts_off_s=_off(told, made) if made is not None else (),
        speech_s=made.coverage.speech_s if made is not None else 0.0,
        covered_s=made.coverage.covered_s if made is not None else 0.0,
        audio_s=made.cost.audio_s if made is not None else 0.0,
        dropped=len(made.dropped) if made is not None else 0,
        retried_windows=made.cost.retried_windows if made is not None else 0,
    )


def agreement(one: transcript.Transcript, other: transcript.Transcript) -> Words:
    """Compare two transcripts of a recording, the first taken for what was said."""
    normalize = _normalizer(one.language)
    found = Words()
    for channel in range(max(one.audio.channels, other.audio.channels)):
        said, heard = (
            " ".join(segment.text for segment in each.segments if segment.channel == channel) for each in (one, other)
        )
        found += _words(said, heard, normalize)
    return found


def _sides(told: reference.Reference, made: transcript.Transcript | None) -> list[tuple[str, str]]:
    turns = sorted(told.turns, key=lambda turn: turn.start_s)
    channels = {turn.channel for turn in turns}
    segments = made.segments if made is not None else ()
    if None in channels or (made is not None and made.audio.channels == 1):
        return [(" ".join(turn.text for turn in turns), " ".join(segment.text for segment in segments))]
    # Words on a channel of which the reference knows nothing count as added.
    return [
        (
            " ".join(turn.text for turn in turns if turn.channel == channel),
            " ".join(segment.text for segment in segments if segment.channel == channel),
        )
        for channel in sorted({*(c for c in channels if c is not None), *(segment.channel for segment in segments)})
    ]


def _words(said: str, heard: str, normalize: Normalize) -> Words:
    import jiwer

    said, heard = normalize(said), normalize(heard)
    if not said:
        return Words(inserted=len(heard.split()))
    found = jiwer.process_words(said, heard)
    return Words(len(said.split()), found.substitutions, found.deletions, found.insertions)


def _speakers(told: reference.Reference, made: transcript.Transcript) -> Speakers | None:
    """Return None where the reference has no times, or does not tell speakers apart."""
    if not told.timed or any(turn.who is None for turn in told.turns):
        return None
    from pyannote import core
    from pyannote.metrics import diarization

    said, heard = core.Annotation(), core.Annotation()
    for at, turn in enumerate(told.turns):
        said[core.Segment(turn.start_s, turn.end_s), at] = turn.who
    for segment in made.segments:
        heard[core.Segment(segment.start_s, segment.end_s), segment.id] = segment.speaker
    whole = core.Timeline([core.Segment(0, made.audio.duration_s)])
    parts: dict[str, Any] = diarization.DiarizationErrorRate()(said, heard, uem=whole, detailed=True)
    error_s = parts["missed detection"] + parts["false alarm"] + parts["confusion"]
    return Speakers(reference_s=float(parts["total"]), error_s=float(error_s))


def _off(told: reference.Reference, made: transcript.Transcript) -> tuple[float, ...]:
    """Return how far the beginnings of rightly heard words are off, in seconds, where the reference has them."""
    import jiwer

    found: list[float] = []
    by_channel: dict[int | None, list[reference.Word]] = collections.defaultdict(list)
    mono = made.audio.channels == 1
    for turn in sorted(told.turns, key=lambda each: each.start_s):
        by_channel[None if mono else turn.channel] += turn.words
    for channel, said in by_channel.items():
        heard = [word for each in made.segments if channel in {None, each.channel} for word in each.words]
        if not said or not heard:
            continue
        ours, theirs = [_folded(word.text) for word in said], [_folded(word.text) for word in heard]
        for chunk in jiwer.process_words(" ".join(ours), " ".join(theirs)).alignments[0]:
            if chunk.type == "equal":
                pairs: Sequence[int] = range(chunk.ref_end_idx - chunk.ref_start_idx)
                found += [
                    abs(said[chunk.ref_start_idx + at].start_s - heard[chunk.hyp_start_idx + at].start_s)
                    for at in pairs
                ]
    return tuple(found)


def _folded(word: str) -> str:
    return "".join(letter for letter in word.casefold() if letter.isalnum()) or "-"


@functools.cache
def _normalizer(language: str | None) -> Normalize:
    """Return Whisper's own text normalizer: for English numbers, contractions and spelling, else case and signs."""
    from whisper_normalizer import basic, english

    normalize: Normalize = english.EnglishTextNormalizer() if language == "en" else basic.BasicTextNormalizer()
    return normalize
