"""Busy seconds and full ones."""

from __future__ import annotations

from aftercall.consumers import usage
from aftercall.contracts import reports


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def test_a_second_is_busy_while_anything_flies_and_full_while_anything_waits_for_a_place() -> None:
    """However many there are."""
    clock = Clock()
    meters = usage.Meters(clock=clock)
    for n_taken, n_waiting, until_s in [(0, 0, 110), (3, 0, 115), (8, 2, 117), (8, 0, 120), (0, 0, 150)]:
        meters.flying(n_taken, n_waiting)
        clock.now_s = until_s
    meters.heard.did(30.0)

    assert reports.Work(done_audio_s=30.0, busy_s=10.0, full_s=2.0) == meters.works()[1]


def test_a_backend_that_says_that_it_is_full_is_for_a_second_and_one_that_is_away_is_neither() -> None:
    """An outage must not look like a slow replica."""
    clock = Clock()
    meters = usage.Meters(clock=clock)
    meters.flying(1, 0)
    clock.now_s = 103.0
    meters.heard.refused()
    assert meters.heard.is_full
    clock.now_s = 110.0
    assert not meters.heard.is_full
    assert (10.0, 1.0) == (meters.heard.work().busy_s, meters.heard.work().full_s)
    meters.flying(8, 4)
    meters.heard.down(is_down=True)
    clock.now_s = 200.0
    meters.heard.down(is_down=False)
    clock.now_s = 201.0

    assert (11.0, 2.0) == (meters.heard.work().busy_s, meters.heard.work().full_s)


def test_preparing_is_full_while_work_waits_for_a_place_and_the_backend_does_not_hold_it_up() -> None:
    """More consumers would help with the one, and not with the other."""
    clock = Clock()
    crowded = [False]
    meters = usage.Meters(lambda: crowded[0], clock=clock)

    def prepare(passed_s: float) -> None:
        with meters.preparing():
            clock.now_s += passed_s

    prepare(5.0)
    crowded[0] = True
    prepare(3.0)
    meters.flying(8, 1)
    prepare(2.0)
    clock.now_s += 50.0

    assert (10.0, 3.0) == (meters.works()[0].busy_s, meters.works()[0].full_s)
