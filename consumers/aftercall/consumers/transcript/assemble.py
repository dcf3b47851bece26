"""From window results to utterances in call time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aftercall.consumers.transcript import heard
from aftercall.contracts import transcript, windows

PAUSE_S = 0.8
"""A longer pause ends an utterance."""
SENTENCE_PAUSE_S = 0.3
"""After the end of a sentence, a shorter one does."""
MAX_UTTERANCE_S = 30.0
_SENTENCE_ENDS = (".", "?", "!", "。", "？", "！")  # noqa: RUF001 -- as Chinese and Japanese text ends
WORD_MARGIN_S = 0.25
"""Coverage: a word is taken to cover this much around it, since aligners cut words short."""


def words_of(window: heard.HeardWindow) -> list[transcript.Word]:
    """Return a window's words in call time, in order, each within the piece of speech that its middle lies in."""
    result = window.result
    placed: list[transcript.Word] = []
    for word in result.words if result.words is not None else spread(result.text, window.duration_s):
        text = word.text.strip()
        if not text:
            continue
        piece = window.time_map.piece_at((word.start_s + word.end_s) / 2)
        start_s = window.time_map.to_call_s(word.start_s, piece=piece)
        end_s = window.time_map.to_call_s(word.end_s, piece=piece)
        floor_s = placed[-1].start_s if placed else 0.0
        start_s = round(max(start_s, floor_s), 3)
        confidence = None if word.probability is None else round(min(1.0, max(0.0, word.probability)), 3)
        placed.append(
            transcript.Word(text=text, start_s=start_s, end_s=round(max(end_s, start_s), 3), confidence=confidence)
        )
    return placed


def spread(text: str, duration_s: float) -> list[windows.Word]:
    """Spread words over a window by their letters, for backends that have no word times."""
    parts = text.split()
    letters = sum(len(part) + 1 for part in parts)
    found, at = [], 0
    for part in parts:
        following = at + len(part) + 1
        found.append(windows.Word(part, duration_s * at / letters, duration_s * (following - 1) / letters, None))
        at = following
    return found


def utterances(
    window_words: Iterable[tuple[heard.HeardWindow, Sequence[transcript.Word]]],
    speaker_of: Callable[[transcript.Word], int | None] = lambda word: None,
) -> list[heard.Utterance]:
    """Join the words of one channel's windows, given in order, into utterances of one speaker each."""
    found: list[heard.Utterance] = []
    for window, words in window_words:
        flags = tuple(
            dict.fromkeys(
                (*window.verdict.flags, *((transcript.Flag.NO_WORD_TIMES,) if window.result.words is None else ()))
            )
        )
        group: list[transcript.Word] = []
        speaker = None
        for word in words:
            speaks = speaker_of(word)
            if group and (speaks != speaker or _parts(group, word)):
                found.append(heard.Utterance(window.channel, tuple(group), window.result.language, flags, speaker))
                group = []
            speaker = speaks
            group.append(word)
        if group:
            found.append(heard.Utterance(window.channel, tuple(group), window.result.language, flags, speaker))
    return found


def _parts(group: Sequence[transcript.Word], word: transcript.Word) -> bool:
    pause_s = word.start_s - group[-1].end_s
    limit_s = SENTENCE_PAUSE_S if group[-1].text.endswith(_SENTENCE_ENDS) else PAUSE_S
    return pause_s > limit_s or word.end_s - group[0].start_s > MAX_UTTERANCE_S


def in_order(found: Iterable[heard.Utterance]) -> list[heard.Utterance]:
    """Interleave the utterances of all channels by when they begin."""
    return sorted(found, key=lambda utterance: (utterance.start_s, utterance.channel, utterance.end_s))


def covered_s(speech: Sequence[heard.Span], words: Iterable[transcript.Word]) -> float:
    """Return how many seconds of speech lie within a quarter of a second of a published word."""
    reach = sorted((max(0.0, word.start_s - WORD_MARGIN_S), word.end_s + WORD_MARGIN_S) for word in words)
    merged: list[list[float]] = []
    for start_s, end_s in reach:
        if merged and start_s <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end_s)
        else:
            merged.append([start_s, end_s])
    total_s = 0.0
    at = 0
    for span in sorted(speech, key=lambda each: each.start):
        start_s, end_s = span.start / heard.SAMPLE_RATE_HZ, span.end / heard.SAMPLE_RATE_HZ
        while at < len(merged) and merged[at][1] <= start_s:
            at += 1
        look = at
        while look < len(merged) and merged[look][0] < end_s:
            total_s += min(end_s, merged[look][1]) - max(start_s, merged[look][0])
            look += 1
    return total_s
