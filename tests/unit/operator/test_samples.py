"""What consumers did since they last told: as much as they did, whenever they tell of it."""

from __future__ import annotations

import random

import pytest

from aftercall.contracts import reports
from aftercall.operator import capacity, ledger, samples

PRIOR = capacity.Prior(50.0)
REPLICAS = 4
TRUE_PER_S = 80.0


def told(consumer: str, at_s: float, heard: reports.Work, *, instance: str = "1") -> ledger.Heard:
    """Return what a consumer has told at a time."""
    report = reports.ConsumerReport(consumer=consumer, instance=instance, pool="calls", heard=heard)
    return ledger.Heard(report, at_s)


def work(done_audio_s: float, seconds: float) -> reports.Work:
    """Return work that filled all of the time."""
    return reports.Work(done_audio_s=done_audio_s, busy_s=seconds, full_s=seconds)


@pytest.mark.parametrize(
    ("n", "look_s", "report_s", "late_s"),
    [
        (1, 5.0, 5.0, None),
        (1, 1.0, 5.0, None),
        (1, 5.0, 30.0, None),
        (4, 1.0, 5.0, None),
        (4, 5.0, 25.0, None),
        (10, 5.0, 5.0, 25.0),
    ],
    ids=["as often", "looks are more", "reports are few", "four consumers", "four that are slow", "some are late"],
)
def test_capacity_does_not_depend_on_who_tells_when(
    n: int, look_s: float, report_s: float, late_s: float | None
) -> None:
    """Four replicas of 80, seen through any number of consumers; a tenth of the reports may be late."""
    rng = random.Random(1)
    due_s = [rng.uniform(0, report_s) for _ in range(n)]
    known: dict[str, ledger.Heard] = {}
    state, estimate = samples.State(), None
    for at in range(round(3600 / look_s)):
        for each in range(n):
            while due_s[each] <= at * look_s:
                done_audio_s = TRUE_PER_S * REPLICAS / n * due_s[each]
                known[f"c{each}"] = told(f"c{each}", due_s[each], work(done_audio_s, due_s[each]))
                is_late = late_s is not None and rng.random() < 0.1
                due_s[each] += late_s if is_late and late_s else report_s * rng.uniform(0.9, 1.1)
        did, state = samples.take(known, state, replicas=REPLICAS)
        estimate = capacity.learn(estimate, did.heard, PRIOR)

    assert estimate is not None
    assert TRUE_PER_S == pytest.approx(estimate.per_s, rel=0.05)


def test_what_was_seen_last_counts_until_all_have_told_anew() -> None:
    """One that is yet to tell makes nobody idle."""
    before = {name: told(name, 0.0, work(0.0, 0.0)) for name in ("a", "b")}
    after = {name: told(name, 5.0, work(500.0, 5.0)) for name in ("a", "b")}
    _, state = samples.take(before, samples.State(), replicas=2)
    did, state = samples.take(after, state, replicas=2)
    assert did.heard == capacity.Sample(1000.0, 10.0, is_saturated=True)

    did, state = samples.take({**after, "a": told("a", 10.0, work(1000.0, 10.0))}, state, replicas=2)

    assert did.heard is None
    assert state.is_speech_full


@pytest.mark.parametrize("how", ["comes", "goes", "begins anew"])
def test_nothing_is_learned_where_it_is_not_known_what_all_did(how: str) -> None:
    """What others did beside them would look like all there was."""
    before = {name: told(name, 0.0, work(0.0, 0.0)) for name in ("a", "b")}
    after = {name: told(name, 5.0, work(500.0, 5.0)) for name in ("a", "b")}
    if how == "comes":
        after["c"] = told("c", 5.0, work(100.0, 5.0))
    elif how == "goes":
        del after["b"]
    else:
        after["b"] = told("b", 5.0, work(500.0, 5.0), instance="2")
    _, state = samples.take(before, samples.State(), replicas=2)

    did, state = samples.take(after, state, replicas=2)

    assert samples.Samples() == did
    assert not state.is_speech_full
