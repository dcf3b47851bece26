"""The batcher's decisions, one by one."""

from __future__ import annotations

import pytest

from aftercall.serve import batching


def line(*entries: tuple[str, float]) -> list[batching.Waiting]:
    """Build a line from (bucket, since)."""
    return [batching.Waiting(ticket, bucket, since_s) for ticket, (bucket, since_s) in enumerate(entries)]


def decide(waiting: list[batching.Waiting], now_s: float, *, closing: bool = False) -> batching.Batch | batching.Wait:
    """Decide with batches of two and half a second of patience."""
    return batching.decide(waiting, now_s=now_s, max_windows=2, max_wait_s=0.5, closing=closing)


def test_an_empty_line_waits_for_nothing() -> None:
    """There is no moment to wake up at."""
    assert batching.Wait(None) == decide([], 1.0)


def test_a_full_bucket_goes_at_once() -> None:
    """Windows of one bucket go together, others stay."""
    assert batching.Batch((0, 2), batching.Reason.FULL) == decide(line(("a", 0), ("b", 0), ("a", 0)), 0.0)


def test_a_window_waits_for_company_no_longer_than_it_may() -> None:
    """It goes alone when its time is up."""
    assert batching.Wait(0.5) == decide(line(("a", 0)), 0.4)
    assert batching.Batch((0,), batching.Reason.WAITED) == decide(line(("a", 0)), 0.5)


def test_a_rare_bucket_that_waited_longest_goes_before_a_full_one() -> None:
    """A busy bucket never starves a rare one."""
    assert batching.Batch((0,), batching.Reason.WAITED) == decide(line(("rare", 0), ("a", 0.1), ("a", 0.1)), 0.6)


def test_closing_sends_what_is_left() -> None:
    """Nothing accepted is left behind."""
    assert batching.Batch((0,), batching.Reason.CLOSING) == decide(line(("a", 0)), 0.1, closing=True)


def test_a_batch_of_nothing_is_refused() -> None:
    """A setting that cannot work is named."""
    with pytest.raises(ValueError, match="max_windows is 0"):
        batching.decide([], now_s=0, max_windows=0, max_wait_s=1)
