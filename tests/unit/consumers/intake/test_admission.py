"""A limit that changes, and one that ends."""

from __future__ import annotations

from aftercall.consumers.intake import admission

FLOOR = admission.Limit(1.0, 6.0)
GRANTED = admission.Limit(5.0, 30.0, 100.0, FLOOR)


def test_a_bucket_fills_by_the_grant_until_its_lease_ends_and_by_the_floor_after_that() -> None:
    """And holds no more then than the floor's burst."""
    bucket = admission.Bucket(-20.0, 98.0)

    assert admission.Bucket(-10.0, 100.0) == admission.settle(bucket, GRANTED, now_s=100.0)
    assert admission.Bucket(-7.0, 103.0) == admission.settle(bucket, GRANTED, now_s=103.0)
    assert admission.Bucket(6.0, 200.0) == admission.settle(bucket, GRANTED, now_s=200.0)
    assert admission.Bucket(6.0, 101.0) == admission.settle(admission.Bucket(30.0, 99.0), GRANTED, now_s=101.0)


def test_work_that_waits_is_looked_at_again_when_the_lease_ends() -> None:
    """It may be dearer than the floor's burst, and begins with that then."""
    empty = admission.empty(now_s=97.0)

    assert admission.Wait(100.0) == admission.decide(empty, 25.0, GRANTED, now_s=97.0)
    assert admission.Admitted(admission.Bucket(-19.0, 100.0)) == admission.decide(
        admission.Bucket(6.0, 100.0), 25.0, GRANTED, now_s=100.0
    )
    assert admission.Wait(99.0) == admission.decide(empty, 10.0, GRANTED, now_s=97.0)
