"""Judge one window's result, and plan what to do about a bad one.

Thresholds are Whisper's own where it has one (compression ratio 2.4, mean log probability -1.0, no-speech
probability 0.6). Batching drops Whisper's fallback, so it is done here, for each window alone.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence

from aftercall.consumers.transcript import phrases
from aftercall.contracts import transcript, windows

MAX_COMPRESSION_RATIO = 2.4
MIN_AVG_LOGPROB = -1.0
MAX_NO_SPEECH = 0.6
MAX_WORDS_PER_S = 8.0
SHORTEST_S = 0.4
"""A window cut off by an end of the recording may be shorter than the word in it."""
LOW_SPEECH_S = 1.0
"""With less speech than this, a window's text is believed only if nothing at all speaks against it."""
SPEECH_MARGIN_S = 0.5
MIN_LOOP_REPEATS = 4
MIN_LOOP_WORDS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class WindowFacts:
    """What is known of a window besides its result: its length, and where in it speech was found (start, end)."""

    duration_s: float
    speech: tuple[tuple[float, float], ...]

    @property
    def speech_s(self) -> float:
        """Seconds of speech."""
        return sum(end_s - start_s for start_s, end_s in self.speech)

    @property
    def room_s(self) -> float:
        """Seconds in which words can lie: each stretch of speech with a quarter of a second on either side."""
        return min(self.duration_s, self.speech_s + 0.5 * len(self.speech))


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
    if words_per_second(text, facts.room_s) > MAX_WORDS_PER_S:
        flags.append(transcript.Flag.TOO_FAST)
    if is_outside(result, facts):
        flags.append(transcript.Flag.OUTSIDE_SPEECH)
    low_speech = facts.speech_s < LOW_SPEECH_S
    if low_speech and phrases.is_known(text):
        flags.append(transcript.Flag.KNOWN_PHRASE)
    unsure = result.avg_logprob is not None and result.avg_logprob < MIN_AVG_LOGPROB
    doubted = result.no_speech_probability is not None and result.no_speech_probability > MAX_NO_SPEECH
    # What is made up on a click is said with confidence: there the model's doubt that anybody spoke is enough.
    if doubted and (unsure or low_speech):
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
    """Return the pace."""
    return len(text.split()) / max(SHORTEST_S, duration_s)


def is_outside(result: windows.WindowResult, facts: WindowFacts) -> bool:
    """Say whether most words lie half a second and more from any speech; without word times, whether there is none."""
    if result.words is None:
        return not facts.speech
    near = [
        any(
            word.start_s < end_s + SPEECH_MARGIN_S and word.end_s > start_s - SPEECH_MARGIN_S
            for start_s, end_s in facts.speech
        )
        for word in result.words
    ]
    return 2 * sum(near) < len(near)


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
