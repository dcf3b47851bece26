"""How a limit is divided between consumers that want more or less of it."""

from __future__ import annotations

import pytest

from aftercall.contracts import reports
from aftercall.operator import grants

LIMIT = grants.Limit(100.0, 5)


def told(**wanted: float) -> dict[str, grants.Report]:
    """Return reports of just now."""
    return {name: grants.Report(each, 100.0) for name, each in wanted.items()}


@pytest.mark.parametrize(
    ("wanted", "shares"),
    [
        ({"a": 1000, "b": 1000}, {"a": 45, "b": 45}),  # ten are set aside for floors
        ({"a": 10, "b": 1000}, {"a": 10, "b": 80}),  # the least first, what it leaves goes to the other
        ({"a": 0, "b": 0}, {"a": 45, "b": 45}),  # nobody wants any: it is there for who comes next
        ({"a": 10, "b": 20}, {"a": 40, "b": 50}),
        ({"a": -5, "b": 1000}, {"a": 0, "b": 90}),
    ],
)
def test_shares(wanted: dict[str, float], shares: dict[str, float]) -> None:
    """They use the whole limit, beyond the floors."""
    assert shares == pytest.approx(grants.share(LIMIT, told(**wanted), now_s=100, stale_s=30))


def test_who_has_fallen_silent_gets_nothing_new() -> None:
    """The others share."""
    heard = told(a=1000) | {"b": grants.Report(1000, 50.0)}

    assert {"a": 90.0} == grants.share(LIMIT, heard, now_s=100, stale_s=30)


def answer(
    consumer: str, heard: dict[str, grants.Report], issued: grants.Issued, **changes: float
) -> tuple[grants.Grant, dict[str, tuple[grants.Grant, ...]]]:
    """Answer a report at 100 s."""
    usual = {"now_s": 100.0, "lease_s": 900.0, "stale_s": 30.0, "began_at_s": -5000.0}
    return grants.answer(consumer, LIMIT, heard, issued, number=7, **(usual | changes))  # type: ignore[arg-type]


def test_what_is_out_for_one_is_not_given_to_another() -> None:
    """Until its cut is acknowledged."""
    heard = told(a=1000, b=1000)
    out = {"a": (grants.Grant(1, 90.0, 500.0), grants.Grant(2, 45.0, 900.0))}

    assert 0.0 == answer("b", heard, out)[0].per_s
    acknowledged = heard | {"a": grants.Report(1000, 100.0, reports.Held(number=2, per_s=45.0))}
    _, out_then = answer("a", acknowledged, out)
    assert 45.0 == answer("b", acknowledged, out_then)[0].per_s


def test_a_lease_that_has_run_out_is_out_no_longer() -> None:
    """Nor is what a consumer held that is gone."""
    out = {"a": (grants.Grant(1, 90.0, 99.0),), "c": (grants.Grant(2, 90.0, 900.0),)}

    assert 0.0 == answer("b", told(b=1000), out)[0].per_s
    assert 90.0 == answer("b", told(b=1000), grants.gone("c", out))[0].per_s


def test_one_that_has_just_begun_renews_and_cuts_and_raises_nothing() -> None:
    """For a lease."""
    heard = told(a=1000, b=1000) | {"c": grants.Report(1000, 100.0, reports.Held(number=3, per_s=20.0))}

    assert 0.0 == answer("a", heard, {}, began_at_s=-799.0)[0].per_s
    assert 0.0 < answer("a", heard, {}, began_at_s=-800.0)[0].per_s
    grant, out = answer("c", heard, {}, began_at_s=50.0)
    assert 20.0 == grant.per_s
    assert 20.0 == grants.outstanding(out["c"], now_s=100)
