"""Find what one channel only repeats of another: a handset that lets the other side through, later and quieter."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from aftercall.consumers.transcript import heard
from aftercall.contracts import transcript

_SAME_TIME_S = 0.3
_ALIKE = 0.8
_QUIETER_DB = 6.0
_MUCH_QUIETER_DB = 12.0
_FEW_WORDS = 3
_FRAME_SAMPLES = 512


def split(
    utterances: Sequence[heard.Utterance], channels: Sequence[heard.Channel]
) -> tuple[list[heard.Utterance], list[heard.Utterance]]:
    """Return (kept, echoes).

    An echo has nearly all its words on another channel within 0.3 s, and is 6 dB quieter meanwhile; with fewer than
    three words, 12 dB. Two people who say the same at once are about as loud, so both are kept; an unknown level keeps.
    """
    kept: list[heard.Utterance] = []
    echoes: list[heard.Utterance] = []
    for utterance in utterances:
        others = [other for other in utterances if other.channel != utterance.channel]
        (echoes if _is_echo(utterance, others, channels) else kept).append(utterance)
    return kept, echoes


def _is_echo(utterance: heard.Utterance, others: Sequence[heard.Utterance], channels: Sequence[heard.Channel]) -> bool:
    for other in {each.channel for each in others}:
        words = [
            word
            for each in others
            if each.channel == other
            and each.end_s + _SAME_TIME_S >= utterance.start_s
            and each.start_s <= utterance.end_s + _SAME_TIME_S
            for word in each.words
        ]
        same = sum(_has_twin(word, words) for word in utterance.words)
        if same < _ALIKE * len(utterance.words):
            continue
        quieter_db = _quieter_db(utterance, channels[utterance.channel], channels[other])
        needed_db = _MUCH_QUIETER_DB if len(utterance.words) < _FEW_WORDS else _QUIETER_DB
        if quieter_db is not None and quieter_db >= needed_db:
            return True
    return False


def _has_twin(word: transcript.Word, others: Sequence[transcript.Word]) -> bool:
    return any(
        abs(other.start_s - word.start_s) <= _SAME_TIME_S and _plain(other.text) == _plain(word.text)
        for other in others
    )


def _plain(text: str) -> str:
    return text.strip(".,?!;:\"'").casefold()


def _quieter_db(utterance: heard.Utterance, own: heard.Channel, other: heard.Channel) -> float | None:
    """Return how much quieter its own channel is than the other while it lasts; None where a level is unknown."""
    first = int(utterance.start_s * heard.SAMPLE_RATE_HZ / _FRAME_SAMPLES)
    last = int(utterance.end_s * heard.SAMPLE_RATE_HZ / _FRAME_SAMPLES) + 1
    own_rms, other_rms = own.rms[first:last], other.rms[first:last]
    if not len(own_rms) or not len(other_rms):
        return None
    own_level, other_level = float(np.sqrt(np.mean(own_rms**2))), float(np.sqrt(np.mean(other_rms**2)))
    if own_level <= 0 or other_level <= 0:
        return None
    return 20 * math.log10(other_level / own_level)
