"""The batcher, driven through random arrivals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aftercall.serve import batching

ARRIVALS = st.lists(
    st.tuples(st.floats(0, 0.2), st.sampled_from("abc")),  # seconds after the one before, bucket
    min_size=1,
    max_size=60,
)


@given(ARRIVALS, st.integers(1, 8), st.floats(0, 0.5), st.floats(0.01, 0.3))
def test_every_window_runs_once_in_order_and_in_time(
    arrivals: list[tuple[float, str]], max_windows: int, max_wait_s: float, engine_s: float
) -> None:
    """Each window is in one batch of its own bucket, in order of arrival, and none waits for fullness too long."""
    line: list[batching.Waiting] = []
    coming, at = [], 0.0
    for ticket, (gap_s, bucket) in enumerate(arrivals):
        at += gap_s
        coming.append(batching.Waiting(ticket, bucket, at))
    run: list[batching.Waiting] = []
    now_s = 0.0
    for _ in range(1000):
        while coming and coming[0].since_s <= now_s:
            line.append(coming.pop(0))
        decision = batching.decide(line, now_s=now_s, max_windows=max_windows, max_wait_s=max_wait_s)
        if isinstance(decision, batching.Batch):
            batch = [waiting for waiting in line if waiting.ticket in decision.tickets]
            assert 1 <= len(batch) <= max_windows
            assert len({waiting.bucket for waiting in batch}) == 1
            if len(batch) < max_windows:
                assert now_s - batch[0].since_s >= max_wait_s
            # No other bucket that is due has an older window.
            assert all(
                waiting.since_s >= batch[0].since_s
                for waiting in line
                if waiting.bucket != batch[0].bucket and now_s - waiting.since_s >= max_wait_s
            )
            line = [waiting for waiting in line if waiting.ticket not in decision.tickets]
            run += batch
            now_s += engine_s
            continue
        wake = [moment for moment in (decision.until_s, coming[0].since_s if coming else None) if moment is not None]
        if not wake:
            break
        assert min(wake) >= now_s - 1e-9
        now_s = max(now_s + 1e-6, min(wake))

    assert sorted(waiting.ticket for waiting in run) == list(range(len(arrivals)))
    for bucket in "abc":
        tickets = [waiting.ticket for waiting in run if waiting.bucket == bucket]
        assert sorted(tickets) == tickets
