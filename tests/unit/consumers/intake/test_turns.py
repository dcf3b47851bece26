"""One consumer's lanes, and a limit that changes under them."""

from __future__ import annotations

from aftercall.consumers.intake import admission, turns


class Lanes:
    """Live and bulk work of one tenant, and its terms, which may change."""

    def __init__(self, **terms: object) -> None:
        self.terms = turns.Terms(**terms)  # type: ignore[arg-type]
        self.accounts = turns.Accounts()
        self.lanes = [turns.Turns[int](lambda _: self.terms, self.accounts) for _ in range(2)]

    def add(self, n_pieces: int, *, cost_s: float = 10.0) -> None:
        """Let work come on both."""
        for lane in self.lanes:
            for at in range(n_pieces):
                lane.add("t", at, estimate_s=cost_s, opened=at)

    def take_all(self, now_s: float) -> list[turns.Turn[int]]:
        """Begin what may begin."""
        found = []
        for lane in self.lanes:
            while (turn := lane.take(now_s=now_s)) is not None:
                found.append(turn)
        return found

    def renew(self, limit: admission.Limit, now_s: float) -> None:
        """Let another limit hold."""
        self.terms = turns.Terms(limit=limit)
        self.accounts.renew(lambda _: self.terms, now_s=now_s)
        for lane in self.lanes:
            lane.reconsider_all()


def test_two_lanes_have_one_limit_between_them() -> None:
    """A tenant that is on both does not get twice what it may have."""
    found = Lanes(limit=admission.Limit(1.0, 60.0))
    found.add(100)
    found.take_all(0.0)
    n_begun = sum(len(found.take_all(float(now_s))) for now_s in range(1, 601))

    assert 60 == n_begun


def test_two_lanes_have_one_cap_between_them_and_what_ends_in_one_frees_the_other() -> None:
    """Three at once are three, whichever lane they came on."""
    found = Lanes(max_open=3)
    found.add(3)
    first = found.take_all(0.0)
    assert (3, []) == (len(first), found.take_all(0.0))
    found.lanes[0].end(first[0], actual_s=None)
    assert [] == found.take_all(0.0)
    found.lanes[1].reconsider("t")

    assert 1 == len(found.take_all(0.0))


def test_a_raised_rate_gives_nothing_for_the_time_before_and_wakes_what_waits() -> None:
    """Nor a full bucket; and a cut one holds at once."""
    found = Lanes(limit=admission.Limit(1.0, 60.0))
    found.add(100)
    assert [] == found.take_all(0.0)
    found.renew(admission.Limit(20.0, 60.0), 9.0)
    assert [] == found.take_all(9.0)
    assert 9.05 == found.lanes[0].next_change_s()
    assert 1 == len(found.take_all(9.06))
    found.renew(admission.Limit(1.0, 3.0), 100.0)

    # Sixty had been saved up, of which three are left: enough for one that is dearer.
    assert 1 == len(found.take_all(100.0))
    assert [] == found.take_all(106.9)


def test_a_limit_that_goes_and_comes_is_no_gift() -> None:
    """What was owed before still is."""
    found = Lanes(limit=admission.Limit(1.0, 5.0))
    found.add(100)
    found.take_all(0.0)
    assert 1 == len(found.take_all(5.0))
    found.renew(None, 6.0)  # type: ignore[arg-type]
    found.renew(admission.Limit(1.0, 5.0), 500.0)

    assert [] == found.take_all(503.9)
    assert 1 == len(found.take_all(510.5))
