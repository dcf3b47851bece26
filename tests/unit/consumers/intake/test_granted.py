"""What an answer of the operator means to a consumer."""

from __future__ import annotations

import pytest

from aftercall.consumers.intake import admission, granted
from aftercall.contracts import reports

WHOLE = admission.Limit(10.0, 60.0)


def answer(number: int, *, epoch: int = 2, per_s: float = 4.0, lease_s: float = 900.0) -> reports.Grants:
    """Return one for one tenant."""
    grant = reports.Grant(tenant="t", per_s=per_s, burst_audio_s=per_s * 6)
    return reports.Grants(epoch=epoch, number=number, lease_s=lease_s, grants=(grant,))


def holding(epoch: int = 2, number: int = 7) -> granted.Granted:
    """Return what is held until 1000 s."""
    held = granted.apply(granted.Granted(), answer(number, epoch=epoch), asked_at_s=100.0, now_s=140.0)
    assert held is not None
    return held


def test_a_lease_counts_from_when_the_report_was_sent() -> None:
    """Not from when the answer came: the operator's clock began before that."""
    held = holding()

    grant = reports.Grant(tenant="t", per_s=4.0, burst_audio_s=24.0)
    assert (1000.0, grant, None) == (held.until_s, held.held("t", now_s=999.9), held.held("t", now_s=1000.0))
    assert held.held("other", now_s=200.0) is None


@pytest.mark.parametrize(
    ("late", "why"),
    [
        (answer(9, epoch=1), "an epoch that is over"),
        (answer(7), "was applied already"),
        (answer(6), "an answer before it"),
        (answer(9, lease_s=40.0), "its lease ran out on the way"),
    ],
)
def test_what_says_nothing_changes_nothing(late: reports.Grants, why: str) -> None:
    """Whatever is late, lost, or of an operator that has lost the Lease."""
    assert granted.apply(holding(), late, asked_at_s=200.0, now_s=240.0) is None, why


def test_an_answer_whose_lease_has_run_out_tells_of_its_epoch() -> None:
    """One of the epoch before is not applied after it."""
    told = granted.apply(holding(), answer(9, epoch=3, lease_s=40.0), asked_at_s=200.0, now_s=240.0)
    assert told is not None
    assert (3, 7, holding().grants) == (told.epoch, told.answered, told.grants)

    assert granted.apply(told, answer(10, epoch=2), asked_at_s=240.0, now_s=241.0) is None


def test_an_answer_replaces_all_and_one_that_drains_takes_none() -> None:
    """Tenants that it does not name are held no more."""
    nothing = reports.Grants(epoch=2, number=8, lease_s=900.0)
    held = granted.apply(holding(), nothing, asked_at_s=200.0, now_s=201.0)
    assert held is not None
    assert held.held("t", now_s=201.0) is None

    drained = granted.drained(holding())
    assert drained.held("t", now_s=201.0) is None
    assert granted.apply(drained, answer(9), asked_at_s=200.0, now_s=201.0) is None


def test_a_limit_is_the_floor_and_the_grant_and_after_the_lease_the_floor() -> None:
    """With the floor's part of the burst."""
    limit = granted.limit_of(WHOLE, 1.0, holding(), "t")

    assert admission.Limit(5.0, 30.0, 1000.0, admission.Limit(1.0, 6.0)) == limit
    assert (5.0, 1.0) == (limit.at(999.0).rate, limit.at(1000.0).rate)
    assert admission.Limit(1.0, 6.0) == granted.limit_of(WHOLE, 1.0, holding(), "other")


def test_no_answer_lifts_more_than_the_whole_limit() -> None:
    """The tenants file may say less than the operator knew when it answered."""
    held = granted.apply(granted.Granted(), answer(1, per_s=500.0), asked_at_s=0.0, now_s=1.0)
    assert held is not None
    limit = granted.limit_of(WHOLE, 50.0, held, "t")

    assert (10.0, 60.0) == (limit.rate, limit.burst_s)
    assert WHOLE == limit.afterwards
