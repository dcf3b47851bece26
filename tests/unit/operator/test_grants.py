"""How a limit is divided between consumers that want more or less of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aftercall.operator import grants

LIMIT = grants.Limit(100.0, 5, 300.0)
SHARED = np.array([LIMIT.shared_per_s()])
BURST = np.array([LIMIT.burst_of(LIMIT.shared_per_s())])
NO_TELLING = math.nan


@pytest.mark.parametrize(
    ("wanted", "shares"),
    [
        ((1000, 1000), (49.5, 49.5)),  # one is set aside for floors
        ((10, 1000), (10, 89)),  # the least first, what it leaves goes to the other
        ((1000, 10), (89, 10)),
        ((0, 0), (49.5, 49.5)),  # nobody wants any: it is there for who comes next
        ((10, 20), (44.5, 54.5)),
        ((10, NO_TELLING), (99, 0)),
        ((1000, NO_TELLING, 1000), (49.5, 0, 49.5)),
        ((5, 33, 1000, 1000), (5, 94 / 3, 94 / 3, 94 / 3)),
        ((NO_TELLING,), (0,)),
    ],
)
def test_shares(wanted: tuple[float, ...], shares: tuple[float, ...]) -> None:
    """They use the whole limit, beyond the floors."""
    found = grants.share(SHARED, np.array(wanted, dtype=float)[:, None])

    assert shares == pytest.approx(tuple(found[:, 0]))


def test_tenants_are_shared_out_side_by_side() -> None:
    """Each as if it were alone; one without a limit has nothing to share."""
    wanted = np.array([[1000.0, 1.0, 7.0], [1000.0, 1000.0, 7.0]])

    found = grants.share(np.array([99.0, 9.0, 0.0]), wanted)

    assert [[49.5, 1.0, 0.0], [49.5, 8.0, 0.0]] == found.tolist()


def test_more_consumers_than_there_should_be_have_floors_too() -> None:
    """Ten floors, where five were foreseen."""
    assert (99.0, 99.0, 98.0) == (LIMIT.shared_per_s(1), LIMIT.shared_per_s(5), LIMIT.shared_per_s(10))


def test_the_burst_is_divided_like_the_rate() -> None:
    """All floors and all grants together have the whole of it."""
    floors = LIMIT.max_consumers * LIMIT.burst_of(LIMIT.floor_per_s)

    assert 300.0 == pytest.approx(floors + LIMIT.burst_of(LIMIT.shared_per_s()))


def answer(
    *,
    wanted: tuple[float, ...] = (1000.0, 1000.0),
    out: tuple[grants.Answer, ...] = (),
    held_per_s: float = 0.0,
    held_burst_s: float = 300.0,
    shared: tuple[grants.Rates, grants.Rates] = (SHARED, BURST),
    may_raise: bool = True,
) -> grants.Answer:
    """Answer b's report at 100 s; `out` is a's."""
    return grants.answer(
        "b",
        shared,
        {name: np.array([each]) for name, each in zip("ab", wanted, strict=True)},
        {"a": out, "b": (sent(3, 70.0, 900.0),)},
        held=(np.array([held_per_s]), np.array([held_burst_s])),
        number=7,
        now_s=100.0,
        lease_s=900.0,
        may_raise=may_raise,
    )


def sent(number: int, per_s: float, until_s: float) -> grants.Answer:
    """Return an answer that was sent under the limit."""
    return grants.Answer(number, until_s, np.array([per_s]), np.array([LIMIT.burst_of(per_s)]))


def test_what_is_out_for_one_is_not_given_to_another() -> None:
    """Until its cut is acknowledged."""
    out = sent(1, 99.0, 500.0), sent(2, 49.5, 900.0)

    assert 0.0 == answer(out=out).per_s[0]
    found = answer(out=grants.acknowledged(out, 2, now_s=100.0))
    assert (7, 1000.0, [49.5]) == (found.number, found.until_s, found.per_s.tolist())


def test_a_lease_that_has_run_out_is_out_no_longer() -> None:
    """By this clock, which is the later one."""
    assert 49.5 == answer(out=(sent(1, 99.0, 100.0),)).per_s[0]
    assert () == grants.acknowledged((sent(1, 99.0, 100.0),), 1, now_s=100.0)


def test_tenants_that_came_after_an_answer_have_no_place_in_it() -> None:
    """Nothing of theirs is out."""
    assert [99.0, 0.0] == grants.out_per_s((sent(1, 99.0, 500.0), sent(2, 5.0, 500.0)), 2, now_s=100.0).tolist()


def test_one_that_may_not_raise_renews_what_is_held() -> None:
    """Whatever a fair part would be, since nobody could be given what is cut; never more than others leave."""
    assert [0.0, 20.0, 80.0, 99.0] == [
        answer(held_per_s=held, may_raise=False).per_s[0] for held in (0.0, 20.0, 80.0, 200.0)
    ]
    assert 59.0 == answer(out=(sent(1, 40.0, 500.0),), held_per_s=80.0, may_raise=False).per_s[0]


@pytest.mark.parametrize(
    ("limit", "per_s", "burst_audio_s"),
    [
        (grants.Limit(50.0, 5, 300.0), 9.5, 57.0),  # of 49.5 another has 40, until its lease ends
        (grants.Limit(20.0, 5, 300.0), 0.0, 0.0),  # another has more than there is now
        (grants.Limit(200.0, 5, 300.0), 99.0, 148.5),
        (grants.Limit(200.0, 5, 150.0), 99.0, 28.5),  # of 148.5 another has 120
        (grants.Limit(200.0, 5, 90.0), 99.0, 0.0),
    ],
)
def test_what_is_out_of_another_limit_counts_as_what_it_is(
    limit: grants.Limit, per_s: float, burst_audio_s: float
) -> None:
    """Not as the part of the new one that it would be: in rate and in burst they are within it together."""
    shared_per_s = limit.shared_per_s()
    shared = np.array([shared_per_s]), np.array([limit.burst_of(shared_per_s)])

    found = answer(out=(sent(1, 40.0, 500.0),), shared=shared)

    assert (per_s, burst_audio_s) == pytest.approx((found.per_s[0], found.burst_audio_s[0]))


def test_one_that_may_not_raise_renews_the_burst_that_is_held() -> None:
    """A limit that is lower, or a burst that is larger, would else make it more beside what it knows nothing of."""
    assert [10.0, 60.0] == [
        answer(held_per_s=20.0, held_burst_s=each, may_raise=False).burst_audio_s[0] for each in (10.0, 100.0)
    ]
