"""Turns: fair order, limits and caps together, against made-up time."""

from __future__ import annotations

import collections

import hypothesis
from hypothesis import strategies as st

from aftercall.consumers.intake import admission, turns

TERMS = {
    "capped": turns.Terms(max_open=2),
    "limited": turns.Terms(limit=admission.Limit(1.0, 60.0)),
    "heavy": turns.Terms(weight=4.0),
    "plain": turns.Terms(),
}
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(sorted(TERMS)), st.floats(1, 50)),
        st.tuples(st.just("take"), st.just(""), st.floats(0, 5)),
        st.tuples(st.just("end"), st.just(""), st.floats(0, 100)),
    ),
    max_size=120,
)


@hypothesis.given(steps)
def test_whatever_happens_nothing_is_lost_and_no_term_is_broken(script: list[tuple[str, str, float]]) -> None:
    """Caps hold at every moment, limits over the whole time; everything that was added comes out once in the end."""
    found: turns.Turns[int] = turns.Turns(TERMS.__getitem__)
    now_s, added = 0.0, 0
    open_: list[turns.Turn[int]] = []
    out: list[int] = []
    charged_s = 0.0

    def take() -> bool:
        nonlocal charged_s
        turn = found.take(now_s=now_s)
        if turn is None:
            return False
        open_.append(turn)
        out.append(turn.item)
        charged_s += turn.estimate_s if turn.tenant == "limited" else 0.0
        assert sum(one.tenant == "capped" for one in open_) <= 2
        assert charged_s <= 60.0 + now_s + 1e-6 or turn.tenant != "limited"
        return True

    for do, tenant, value in script:
        if do == "add":
            found.add(tenant, added, estimate_s=value, opened=added)
            added += 1
        elif do == "take":
            now_s += value
            take()
        elif open_:
            turn = open_.pop(0)
            # At most the estimate, so that the limit's sum above stays an upper bound.
            found.end(turn, actual_s=None if value > 50 else turn.estimate_s)
    for _ in range(20 * (added + 1)):
        if not take():
            for turn in open_:
                found.end(turn, actual_s=None)
            open_.clear()
            now_s = max(now_s, found.next_change_s() or now_s)
        if len(out) == added:
            break
    assert sorted(out) == list(range(added))
    assert 0 == len(found)


def test_a_limited_tenant_waits_and_the_others_do_not() -> None:
    """A new bucket is empty; the time at which it lets the first begin is told."""
    found: turns.Turns[str] = turns.Turns(TERMS.__getitem__)
    found.add("limited", "l", estimate_s=10.0, opened=0)
    found.add("plain", "p", estimate_s=10.0, opened=1)

    first, second = found.take(now_s=0.0), found.take(now_s=0.0)

    assert first is not None
    assert ("p", None) == (first.item, second)
    assert (["limited"], 10.0) == (
        [name for name, one in found.standings(now_s=0.0).items() if one.is_throttled],
        found.next_change_s(),
    )
    later = found.take(now_s=10.0)
    assert later is not None
    assert "l" == later.item


def test_what_cost_less_than_believed_is_given_back() -> None:
    """To the limit and to the order alike."""
    found: turns.Turns[str] = turns.Turns(TERMS.__getitem__)
    for at in range(2):
        found.add("limited", str(at), estimate_s=60.0, opened=at)
    assert found.take(now_s=0.0) is None
    first = found.take(now_s=60.0)
    assert first is not None
    assert found.take(now_s=60.0) is None
    found.end(first, actual_s=0.0)

    assert found.take(now_s=60.0) is not None


@hypothesis.given(st.lists(st.sampled_from(["a", "b", "c", "done"]), max_size=80), st.integers(1, 20))
def test_whoever_comes_finds_a_place(script: list[str], places: int) -> None:
    """With more places than two, no tenant alone takes the last one, and nobody without open work is refused one."""
    found: turns.Turns[int] = turns.Turns(lambda _: turns.Terms())
    open_: list[turns.Turn[int]] = []
    waiting: collections.Counter[str] = collections.Counter()
    for at, do in enumerate(script):
        if do == "done":
            if open_:
                found.end(open_.pop(0), actual_s=None)
        else:
            found.add(do, at, estimate_s=1.0, opened=at)
            waiting[do] += 1
        while len(open_) < places and (turn := found.take(now_s=0.0, n_free=places - len(open_))) is not None:
            n_mine = sum(one.tenant == turn.tenant for one in open_)
            assert not n_mine or (n_mine < 2 * (places - len(open_)) and places - len(open_) > 1)
            open_.append(turn)
            waiting[turn.tenant] -= 1
        has_open = {one.tenant for one in open_}
        assert places == 1 or len(has_open) != 1 or len(open_) < places
        assert len(open_) == places or all(tenant in has_open for tenant in +waiting)


@hypothesis.given(steps)
def test_standings_add_up(script: list[tuple[str, str, float]]) -> None:
    """Of every tenant: what waits and what runs, in audio-seconds."""
    found: turns.Turns[int] = turns.Turns(TERMS.__getitem__)
    now_s, waiting, open_ = 0.0, dict.fromkeys(TERMS, 0.0), list[turns.Turn[int]]()
    for at, (do, tenant, value) in enumerate(script):
        if do == "add":
            found.add(tenant, at, estimate_s=value, opened=at)
            waiting[tenant] += value
        elif do == "take":
            now_s += value
            turn = found.take(now_s=now_s)
            if turn is not None:
                open_.append(turn)
                waiting[turn.tenant] -= turn.estimate_s
        elif open_:
            found.end(open_.pop(0), actual_s=value)
    for tenant, standing in found.standings(now_s=now_s).items():
        running_s = sum(turn.estimate_s for turn in open_ if turn.tenant == tenant)
        assert abs(standing.waiting_s - waiting[tenant]) < 1e-6
        assert abs(standing.running_s - running_s) < 1e-6
