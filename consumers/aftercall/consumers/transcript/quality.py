"""Judge one window's result, and plan what to do about a bad one.

Thresholds are Whisper's own where it has one (compression ratio 2.4, mean log probability -1.0, no-speech
probability 0.6). Batching drops Whisper's fallback, so it is done here, for each window alone.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence

from aftercall.contracts import transcript, windows

MAX_COMPRESSION_RATIO = 2.4
MIN_AVG_LOGPROB = -1.0
MAX_NO_SPEECH = 0.6
MAX_WORDS_PER_S = 8.0
MIN_LOOP_REPEATS = 4
MIN_LOOP_WORDS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class WindowFacts:
    """What is known of a window besides its result: its length, and how much speech was found in it."""

    duration_s: float
    speech_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a result may be published; `flags` says what is wrong with one that may not.

    `silent` means that the model heard nothing and is believed: accepted, with no words.
    """

    accepted: bool
    flags: tuple[transcript.Flag, ...] = ()
    silent: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """One decoding of a window and what is thought of it."""

    result: windows.WindowResult
    verdict: Verdict


def judge(result: windows.WindowResult, facts: WindowFacts) -> Verdict:
    """Judge a result by every measure its backend can tell; what it cannot tell (None) is left out.

    A loop is never excused by a high no-speech probability: in Whisper's reference code the silence rule is asked
    last and lets a loop in silence through (openai/whisper issue 2795).
    """
    text = result.text.strip()
    if not text:
        return Verdict(accepted=True, silent=True)
    flags = []
    if compression_ratio(text) > MAX_COMPRESSION_RATIO or is_loop(text):
        flags.append(transcript.Flag.REPETITION)
    if words_per_second(text, facts.duration_s) > MAX_WORDS_PER_S:
        flags.append(transcript.Flag.TOO_FAST)
    unsure = result.avg_logprob is not None and result.avg_logprob < MIN_AVG_LOGPROB
    if unsure and result.no_speech_probability is not None and result.no_speech_probability > MAX_NO_SPEECH:
        flags.append(transcript.Flag.NO_SPEECH)
        # Whisper calls this silence and drops the text without another try; so do we, unless it loops.
        return Verdict(accepted=flags == [transcript.Flag.NO_SPEECH], flags=tuple(flags), silent=True)
    if unsure:
        flags.append(transcript.Flag.LOW_CONFIDENCE)
    return Verdict(accepted=not flags, flags=tuple(flags))


def plan_retry(attempts: Sequence[Attempt], temperatures: Sequence[float]) -> float | None:
    """Return the temperature of the next attempt; None when the last one is accepted or none is left."""
    if attempts[-1].verdict.accepted or len(attempts) >= len(temperatures):
        return None
    return temperatures[len(attempts)]


def choose(attempts: Sequence[Attempt]) -> Attempt:
    """Choose the attempt to keep: the accepted one, else the surest of those with the fewest flags."""
    for attempt in attempts:
        if attempt.verdict.accepted:
            return attempt

    def badness(attempt: Attempt) -> tuple[int, float]:
        logprob = attempt.result.avg_logprob
        return len(attempt.verdict.flags), 0.0 if logprob is None else -logprob

    return min(attempts, key=badness)


def compression_ratio(text: str) -> float:
    """Return how many times smaller zlib makes the text, as Whisper measures it."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def words_per_second(text: str, duration_s: float) -> float:
    """Return the pace; of a moment too short to have one, 0."""
    return len(text.split()) / duration_s if duration_s >= 0.5 else 0.0


def is_loop(text: str) -> bool:
    """Say whether some run of one to eight words comes four times in a row and makes up most of the text.

    Short loops escape zlib, whose own header weighs more than they do: "thank you thank you thank you thank you".
    A loop has eight words at least, so that a number read out with repeated digits is none.
    """
    words = text.lower().split()
    for size in range(1, 9):
        run = 1
        for at in range(size, len(words) - size + 1, size):
            run = run + 1 if words[at : at + size] == words[at - size : at] else 1
            if run >= MIN_LOOP_REPEATS and run * size >= MIN_LOOP_WORDS and run * size * 2 >= len(words):
                return True
    return False
