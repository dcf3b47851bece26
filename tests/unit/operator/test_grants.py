"""How a limit is divided between consumers that want more or less of it."""

from __future__ import annotations

import dataclasses

import pytest

from aftercall.operator import grants

LIMIT = grants.Limit(100.0, 5, 300.0)


def seats(**wanted: float) -> dict[str, grants.Seat]:
    """Return seats of consumers that reported just now."""
    return {name: grants.Seat(each, 100.0) for name, each in wanted.items()}


@pytest.mark.parametrize(
    ("wanted", "shares"),
    [
        ({"a": 1000, "b": 1000}, {"a": 45, "b": 45}),  # ten are set aside for floors
        ({"a": 10, "b": 1000}, {"a": 10, "b": 80}),  # the least first, what it leaves goes to the other
        ({"a": 0, "b": 0}, {"a": 45, "b": 45}),  # nobody wants any: it is there for who comes next
        ({"a": 10, "b": 20}, {"a": 40, "b": 50}),
    ],
)
def test_shares(wanted: dict[str, float], shares: dict[str, float]) -> None:
    """They use the whole limit, beyond the floors; and whoever reports is answered with its share."""
    assert shares == pytest.approx(grants.share(LIMIT, seats(**wanted), now_s=100, stale_s=30))
    assert shares == pytest.approx({name: answer(name, seats(**wanted)).per_s for name in wanted})


def test_more_consumers_than_there_should_be_have_floors_too() -> None:
    """Ten floors of two each, where five were foreseen."""
    many = seats(**{f"c{at}": 1000 for at in range(10)})

    assert 80.0 == pytest.approx(sum(grants.share(LIMIT, many, now_s=100, stale_s=30).values()))


def test_the_burst_is_divided_like_the_rate() -> None:
    """All floors and all grants together have the whole of it."""
    floors = LIMIT.max_consumers * LIMIT.burst_of(LIMIT.floor_per_s)

    assert 300.0 == pytest.approx(floors + LIMIT.burst_of(LIMIT.shared_per_s()))


def test_who_has_fallen_silent_gets_nothing_new() -> None:
    """The others share."""
    known = seats(a=1000) | {"b": grants.Seat(1000, 50.0)}

    assert {"a": 90.0} == grants.share(LIMIT, known, now_s=100, stale_s=30)


def answer(
    consumer: str, known: dict[str, grants.Seat], *, held_per_s: float | None = None, may_raise: bool = True
) -> grants.Grant:
    """Answer a report at 100 s."""
    return grants.answer(
        consumer,
        LIMIT,
        known,
        held_per_s=held_per_s,
        number=7,
        now_s=100.0,
        lease_s=900.0,
        stale_s=30.0,
        may_raise=may_raise,
    )


def test_what_is_out_for_one_is_not_given_to_another() -> None:
    """Until its cut is acknowledged."""
    known = seats(a=1000, b=1000)
    known["a"] = dataclasses.replace(known["a"], out=(grants.Grant(1, 90.0, 500.0), grants.Grant(2, 45.0, 900.0)))

    assert 0.0 == answer("b", known).per_s
    known["a"] = dataclasses.replace(known["a"], out=known["a"].acknowledged(2, now_s=100.0))
    assert grants.Grant(7, 45.0, 1000.0) == answer("b", known)


def test_a_lease_that_has_run_out_is_out_no_longer() -> None:
    """By this clock, which is the later one."""
    known = seats(a=1000, b=1000)
    known["a"] = dataclasses.replace(known["a"], out=(grants.Grant(1, 90.0, 100.0),))

    assert 45.0 == answer("b", known).per_s


def test_one_that_may_not_raise_renews_and_cuts() -> None:
    """At most what is held, and never more than there is."""
    known = seats(a=1000, b=1000)

    assert [0.0, 20.0, 45.0] == [
        answer("a", known, held_per_s=held, may_raise=False).per_s for held in (None, 20.0, 80.0)
    ]
