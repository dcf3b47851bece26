"""Offsets that finish in any order: nothing is ever committed past what is unfinished."""

from __future__ import annotations

import base64
import random

import hypothesis
import pytest
from hypothesis import strategies as st

from aftercall.consumers.intake import offsets

seen = st.sets(st.integers(0, 400), min_size=1, max_size=80)


@hypothesis.given(seen, st.randoms(use_true_random=False), st.data())
def test_a_restart_does_again_what_was_unfinished_and_nothing_else(
    taken: set[int], rng: random.Random, data: st.DataObject
) -> None:
    """Whatever the order of completion, and with gaps between offsets, as compaction and markers leave them."""
    start = data.draw(st.integers(0, min(taken)))
    tracked = offsets.PartitionOffsets(start)
    for offset in sorted(taken):
        assert tracked.take(offset)
    order = sorted(taken)
    rng.shuffle(order)
    done: set[int] = set()
    committed = start
    for offset in order:
        tracked.finish(offset)
        done.add(offset)
        commit = tracked.commit()
        unfinished = taken - done
        assert committed <= commit.offset == min(unfinished, default=max(taken) + 1)
        committed = commit.offset
        restarted = offsets.PartitionOffsets.restore(commit.offset, commit.metadata)
        again = {each for each in sorted(taken) if each >= commit.offset and restarted.take(each)}
        assert unfinished == again
    assert 0 == tracked.n_open


@hypothesis.given(seen)
def test_any_order_of_completion_ends_at_the_same_commit(taken: set[int]) -> None:
    """With nothing beyond it."""
    ends = set()
    for order in (sorted(taken), sorted(taken, reverse=True)):
        tracked = offsets.PartitionOffsets(min(taken))
        for offset in sorted(taken):
            tracked.take(offset)
        for offset in order:
            tracked.finish(offset)
        ends.add(tracked.commit())
    assert {offsets.Commit(max(taken) + 1, "")} == ends


def test_a_redelivered_offset_is_not_worked_on_twice() -> None:
    """Neither while it is open nor after it was finished; finishing twice, or what was never taken, changes nothing."""
    tracked = offsets.PartitionOffsets(5)
    assert tracked.take(5)
    assert tracked.take(6)
    assert not tracked.take(6)
    tracked.finish(6)
    tracked.finish(6)
    tracked.finish(99)

    assert not tracked.take(6)
    assert (1, 5) == (tracked.n_open, tracked.lowest_unfinished)


@pytest.mark.parametrize("pattern", ["all", "alternating", "random", "sparse"])
def test_metadata_always_fits(pattern: str) -> None:
    """50,000 finished above one stuck offset; where all cannot be said, the lowest are, and nothing else."""
    rng = random.Random(1)
    chosen = {
        "all": set(range(1, 50_001)),
        "alternating": set(range(1, 50_001, 2)),
        "random": {offset for offset in range(1, 50_001) if rng.random() < 0.5},
        "sparse": {10**6, 2**23},
    }[pattern]

    text = offsets.encode(7, {7 + offset for offset in chosen})
    found = offsets.decode(7, text)

    assert len(text) <= offsets.MAX_METADATA_CHARS
    assert found is not None
    kept = {offset - 7 for offset in found}
    assert kept <= chosen
    highest = max(kept)
    assert kept == {offset for offset in chosen if offset <= highest}
    if pattern in {"all", "alternating"}:
        assert kept == chosen
        assert len(text) <= offsets.PAUSE_AT_CHARS
    else:
        assert len(kept) > (10_000 if pattern == "random" else 0)


@hypothesis.given(
    st.text(max_size=200) | st.binary(max_size=200).map(lambda b: "aftercall/1 " + base64.b64encode(b).decode())
)
def test_foreign_metadata_means_a_safe_replay(metadata: str) -> None:
    """Whatever another program wrote there."""
    assert offsets.decode(0, metadata) is None
    assert offsets.PartitionOffsets.restore(0, metadata).take(0)


@hypothesis.given(st.sets(st.integers(1, 300), min_size=1), st.integers(0, 400), st.integers(0, 255))
def test_cut_or_flipped_metadata_is_never_believed(finished: set[int], at: int, flip: int) -> None:
    """Truncation, a flipped character, another base or a later version: all of it is done again, or read as it was."""
    text = offsets.encode(0, finished)
    flipped = text[: at % len(text)] + chr(33 + flip % 90) + text[at % len(text) + 1 :]

    assert offsets.decode(0, text[: at % len(text)]) is None
    assert offsets.decode(0, flipped) in {None, frozenset(finished)}
    assert offsets.decode(1, text) is None
    assert offsets.decode(0, text.replace("aftercall/1", "aftercall/2")) is None
