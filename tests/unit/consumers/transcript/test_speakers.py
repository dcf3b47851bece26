"""Whose a word is, and who the speakers of a call are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.consumers.transcript import heard, speakers
from aftercall.contracts import diarization, events, transcript

TURNS = [diarization.Turn(0, 0.0, 2.0), diarization.Turn(1, 2.5, 4.0), diarization.Turn(0, 10.0, 11.0)]


def word(start_s: float, end_s: float) -> transcript.Word:
    """Build a word."""
    return transcript.Word(text="hello", start_s=start_s, end_s=end_s)


@pytest.mark.parametrize(
    ("start_s", "end_s", "speaker"),
    [
        (0.5, 0.9, 0),
        (1.8, 2.6, 0),  # 0.2 s of the first, 0.1 of the second
        (1.95, 2.9, 1),
        (2.1, 2.2, 0),  # between them, nearer to the first
        (2.35, 2.45, 1),
        (4.5, 4.8, 1),  # just after
        (6.0, 6.5, 1),  # far from any: whoever spoke last
        (9.5, 9.9, 0),  # just before
        (30.0, 31.0, 0),
    ],
)
def test_a_word_is_whose_turn_it_overlaps_most(start_s: float, end_s: float, speaker: int) -> None:
    """Else the nearest one's, within a second."""
    assert speaker == speakers.by_overlap(TURNS)(word(start_s, end_s))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 5), st.floats(0.01, 5)), min_size=1, max_size=20),
    st.floats(0, 100),
    st.floats(0, 3),
)
def test_every_word_has_a_speaker(parts: list[tuple[int, float, float]], start_s: float, lasts_s: float) -> None:
    """One of those that there are, and the one whose turn covers all of it where there is one."""
    at_s, turns = 0.0, []
    for speaker, gap_s, length_s in parts:
        turns.append(diarization.Turn(speaker, at_s + gap_s, at_s + gap_s + length_s))
        at_s += gap_s + length_s
    said = word(start_s, start_s + lasts_s)

    found = speakers.by_overlap(turns)(said)
    assert found in {turn.speaker for turn in turns}
    covering = [turn.speaker for turn in turns if turn.start_s <= said.start_s and said.end_s <= turn.end_s]
    if len(covering) == 1 and lasts_s > 0:
        assert [found] == covering


def test_speakers_are_numbered_as_they_appear() -> None:
    """Whatever the diarizer calls them, and in whatever order it tells."""
    told = [diarization.Turn(7, 5.0, 6.0), diarization.Turn(3, 1.0, 2.0), diarization.Turn(7, 0.0, 0.5)]

    assert [(0, 0.0), (1, 1.0), (0, 5.0)] == [(turn.speaker, turn.start_s) for turn in speakers.numbered(told)]


def test_roles_of_a_channel_are_no_roles_of_those_who_share_it() -> None:
    """Two speakers on one channel: whoever spoke first is taken for the agent, and it says so."""
    said = [
        heard.Utterance(0, (word(0, 1),), "en", speaker=1),
        heard.Utterance(0, (word(2, 3),), "en", speaker=0),
    ]
    named = [events.Channel(index=0, role="customer", name="Zoe")]

    first, second = speakers.identify(1, named, said)
    assert ("S1", "customer", 0) == (first.id, first.role, first.channel)
    assert ("S2", "agent", transcript.RoleSource.FIRST_SPEAKER) == (second.id, second.role, second.role_source)
    assert ["Zoe"] == [each.name for each in speakers.identify(1, named, [heard.Utterance(0, (word(0, 1),), "en")])]
    three = [heard.Utterance(0, (word(at, at + 1),), "en", speaker=at) for at in range(3)]
    assert ["Speaker 1", "Speaker 2", "Speaker 3"] == [each.name for each in speakers.identify(1, [], three)]
