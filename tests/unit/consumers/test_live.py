"""What is said is told in the order of the call, whatever order windows end in, and to those who listen."""

from __future__ import annotations

import random

import doubles
from hypothesis import given
from hypothesis import strategies as st

from aftercall.consumers import live
from aftercall.consumers.recording import speech, windows
from aftercall.consumers.transcript import heard, quality

RATE_HZ = 16_000


def window(channel: int, start_s: float, length_s: float, *, accepted: bool = True) -> heard.HeardWindow:
    """Build a window with a word at its beginning and one at its end."""
    span = speech.Span(int(start_s * RATE_HZ), int((start_s + length_s) * RATE_HZ))
    words = [("hello", 0.0, 0.2), ("there", length_s - 0.2, length_s)]
    return heard.HeardWindow(
        channel=channel,
        index=0,
        time_map=windows.TimeMap((span,)),
        speech=(span,),
        duration_s=length_s,
        result=doubles.result("hello there", words),
        verdict=quality.Verdict(accepted=accepted),
        attempts=1,
    )


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0.5, 25)), min_size=1, max_size=12), st.integers(0, 10**6))
def test_utterances_come_in_the_order_of_the_call(parts: list[tuple[int, float]], seed: int) -> None:
    """Windows of each channel follow each other; they end in any order; all is told, once, and nothing too early."""
    ends_s = [0.0, 0.0]
    line = []
    for channel, length_s in parts:
        line.append(window(channel, ends_s[channel], length_s))
        ends_s[channel] += length_s + 0.5
    open_from_s = {at: each.time_map.spans[0].start / RATE_HZ for at, each in enumerate(line)}
    order = list(range(len(line)))
    random.Random(seed).shuffle(order)
    in_order, told = live.InOrder(), []
    for at in order:
        in_order.add(line[at])
        del open_from_s[at]
        until_s = min([1e6, *open_from_s.values()])
        new = in_order.before(until_s)
        assert all(each.start_s < until_s for each in new)
        told += new

    assert [each.start_s for each in told] == sorted(each.start_s for each in told)
    assert sum(len(each.words) for each in told) == 2 * len(line)


def test_what_is_not_believed_is_never_told() -> None:
    """A loop that is being asked again is nobody's to read."""
    in_order = live.InOrder()
    in_order.add(window(0, 0.0, 5.0, accepted=False))

    assert not in_order.before(1e6)


def test_listeners_hear_their_own_call_alone() -> None:
    """From when they come until they go; nothing is kept for nobody."""
    listeners, in_order = live.Listeners(), live.InOrder()
    in_order.add(window(0, 0.0, 5.0))
    said = in_order.before(1e6)
    listeners.tell("tr_a", said)
    with listeners.listen("tr_a") as mine, listeners.listen("tr_a") as too, listeners.listen("tr_b") as other:
        listeners.tell("tr_a", said)
        assert [len(said), len(said), 0] == [line.qsize() for line in (mine, too, other)]
    listeners.tell("tr_a", said)
    assert len(said) == mine.qsize()
    assert not listeners._lines
