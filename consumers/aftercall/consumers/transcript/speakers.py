"""Who speaks: on several channels the channel is the speaker; on one channel whoever a diarizer tells apart."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence

from aftercall.consumers.transcript import heard
from aftercall.contracts import diarization, events, transcript

AGENT, CUSTOMER = "agent", "customer"
NEAR_S = 1.0
"""A word that no turn covers belongs to a turn that is this near: diarizers and aligners cut words short."""


def identify(
    n_channels: int, named: Sequence[events.Channel], utterances: Sequence[heard.Utterance]
) -> tuple[transcript.Speaker, ...]:
    """Return a speaker for every channel, in order of the channels; or for every one that was told apart, by number.

    Roles come from the event's metadata. Where it names none for two speakers, whoever speaks first is taken for the
    agent, who answers calls; the speaker's `role_source` says so.
    """
    told_apart = {each.speaker for each in utterances if each.speaker is not None}
    n_speakers = 1 + max(told_apart) if told_apart else n_channels
    by_index = {} if told_apart else {channel.index: channel for channel in named}
    guess = n_speakers == 2 and not any(channel.role for channel in by_index.values() if channel.index < 2)
    first = place_of(min(utterances, key=lambda each: each.start_s)) if utterances else None
    found = []
    for index in range(n_speakers):
        told = by_index.get(index)
        role, source = None, transcript.RoleSource.UNKNOWN
        if told is not None and told.role:
            role, source = told.role, transcript.RoleSource.METADATA
        elif guess and first is not None:
            role = AGENT if index == first else CUSTOMER
            source = transcript.RoleSource.FIRST_SPEAKER
        name = (told.name if told is not None else None) or (role.capitalize() if role else f"Speaker {index + 1}")
        channel = 0 if told_apart else index
        found.append(transcript.Speaker(id=f"S{index + 1}", name=name, channel=channel, role=role, role_source=source))
    return tuple(found)


def place_of(utterance: heard.Utterance) -> int:
    """Return the speaker's place in `identify`'s answer."""
    return utterance.channel if utterance.speaker is None else utterance.speaker


def by_overlap(turns: Sequence[diarization.Turn]) -> Callable[[transcript.Word], int]:
    """Return what says whose a word is: of the turns that it overlaps the longest, else the nearest one's.

    Far from any turn it is whoever spoke last before it. `turns` are in order and do not overlap. Speakers are numbered
    in order of appearance; at least one turn is needed.
    """
    starts = [turn.start_s for turn in turns]

    def speaker_of(word: transcript.Word) -> int:
        after = bisect.bisect_right(starts, word.end_s)
        before = max(0, bisect.bisect_right(starts, word.start_s) - 1)
        best, most_s = None, 0.0
        for turn in turns[before:after]:
            shared_s = min(word.end_s, turn.end_s) - max(word.start_s, turn.start_s)
            if shared_s > most_s:
                best, most_s = turn.speaker, shared_s
        if best is not None:
            return best
        around = [turns[at] for at in (before, after) if at < len(turns)]
        nearest = min(around, key=lambda turn: max(turn.start_s - word.end_s, word.start_s - turn.end_s))
        away_s = max(nearest.start_s - word.end_s, word.start_s - nearest.end_s)
        return nearest.speaker if away_s <= NEAR_S else turns[before].speaker

    return speaker_of


def numbered(turns: Sequence[diarization.Turn]) -> list[diarization.Turn]:
    """Return turns in order of their beginnings, with speakers numbered as they appear."""
    numbers: dict[int, int] = {}
    return [
        diarization.Turn(numbers.setdefault(turn.speaker, len(numbers)), turn.start_s, turn.end_s)
        for turn in sorted(turns, key=lambda turn: turn.start_s)
    ]
