"""Who may act, when, and with what epoch."""

from __future__ import annotations

import asyncio

import pytest

from aftercall.operator import failures, kube, lease, testing


def candidate(
    cluster: testing.FakeKubernetes, clock: testing.Clock, identity: str = "a", taken: list[int] | None = None
) -> lease.Lease:
    """Return one who wants the Lease, for 15 s."""
    heard = [] if taken is None else taken
    return lease.Lease(
        cluster,
        "operator",
        identity=identity,
        lease_s=15.0,
        now=clock,
        utc=clock.utc,
        taken=lambda epoch, _: heard.append(epoch),
    )


async def test_the_first_takes_it_and_the_second_waits() -> None:
    """Until it has seen no change for a whole lease on its own clock."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    first, second = candidate(cluster, clock, "a"), candidate(cluster, clock, "b")

    await first.step()
    await second.step()
    clock.now_s += 14.9
    await second.step()
    assert (False, False) == (first.is_held(), second.is_held())
    clock.now_s += 0.1
    await second.step()

    assert second.is_held()
    assert first.epoch is not None
    assert first.epoch + 1 == second.epoch


async def test_a_renewal_begins_the_wait_anew() -> None:
    """What counts is when the observer saw a change, not what times the Lease names."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    first, second = candidate(cluster, clock, "a"), candidate(cluster, clock, "b")
    await first.step()
    await second.step()
    for _ in range(5):
        clock.now_s += 9
        await first.step()
        await second.step()
        assert (True, False) == (first.is_held(), second.is_held())


async def test_it_is_ours_for_less_time_than_others_wait() -> None:
    """Timed from the sending of the renewal: its answer may have been on its way for long."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    first = candidate(cluster, clock)

    def slow(call: testing.Call) -> None:
        if call.verb == "create":
            clock.now_s += 8

    cluster.before = slow
    await first.step()

    assert first.is_held()
    clock.now_s += 2.1
    assert not first.is_held()


async def test_a_renewal_that_fails_is_none() -> None:
    """And one who was away and finds it still its own goes on with the same epoch."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    taken: list[int] = []
    first = candidate(cluster, clock, taken=taken)
    await first.step()
    cluster.broken["*", "*"] = failures.UnavailableError("away")
    clock.now_s += 11

    with pytest.raises(failures.UnavailableError):
        await first.step()
    assert not first.is_held()

    cluster.broken.clear()
    await first.step()
    assert first.is_held()
    assert 1 == len(taken)


async def test_two_who_take_it_at_once_are_not_both_served() -> None:
    """The API server refuses the later one by the version."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    await candidate(cluster, clock, "old").step()
    second, third = candidate(cluster, clock, "b"), candidate(cluster, clock, "c")
    await second.step()
    await third.step()
    clock.now_s += 15

    def overtake(call: testing.Call) -> None:
        if call.verb == "write" and "b" == (call.body or {})["spec"]["holderIdentity"]:
            cluster.before = None
            cluster.put(kube.LEASES, "operator", spec={"holderIdentity": "c", "leaseTransitions": 1})

    cluster.before = overtake
    with pytest.raises(failures.ConflictError):
        await second.step()

    assert not second.is_held()


async def test_a_released_one_is_taken_at_once_with_a_higher_epoch() -> None:
    """As when an operator is replaced in order."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    first, second = candidate(cluster, clock, "a"), candidate(cluster, clock, "b")
    await first.step()
    await first.release()
    await second.step()

    assert (False, True) == (first.is_held(), second.is_held())
    assert (second.epoch or 0) > (first.epoch or 0)


async def test_what_is_left_at_the_release_goes_to_the_next_holder_alone() -> None:
    """Nothing is left by one that was overtaken, nor twice; the first holder of all has what it was told."""
    cluster, clock, heard = testing.FakeKubernetes(), testing.Clock(), list[str | None]()

    def new(identity: str) -> lease.Lease:
        return lease.Lease(
            cluster,
            "operator",
            identity=identity,
            lease_s=15.0,
            now=clock,
            utc=clock.utc,
            taken=lambda _, left: heard.append(left),
            leaves=lambda: f"of {identity}",
            first="nobody",
        )

    first, second, third = new("a"), new("b"), new("c")
    await first.step()
    await first.release()
    await second.step()
    await third.step()
    clock.now_s += 15
    await third.step()
    await third.release()
    await first.step()
    cluster.drop(kube.LEASES, "operator")
    await first.step()

    assert ["nobody", "of a", None, "of c", None] == heard


async def test_a_deleted_one_comes_back_with_a_higher_epoch() -> None:
    """Consumers refuse grants of an epoch below one they have seen."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    first, second = candidate(cluster, clock, "a"), candidate(cluster, clock, "b")
    await first.step()
    cluster.drop(kube.LEASES, "operator")
    clock.now_s += 60
    await second.step()

    assert (second.epoch or 0) > (first.epoch or 0)
    assert 2**31 > (second.epoch or 0)


async def test_who_hears_of_a_higher_epoch_takes_a_higher_one() -> None:
    """A consumer tells of the one it has seen last: the Lease may have been written by hand since."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    newest = 0
    held = lease.Lease(
        cluster, "operator", identity="a", lease_s=15.0, now=clock, utc=clock.utc, newest_epoch=lambda: newest
    )
    await held.step()
    newest = (held.epoch or 0) + 7
    await held.step()
    taken = held.epoch
    await held.step()

    assert (newest + 1, newest + 1) == (taken, held.epoch)


async def test_the_loop_outlives_failures_and_releases_at_its_end() -> None:
    """An API server that is away for a while ends nothing."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    stopping, asked, taken = asyncio.Event(), asyncio.Event(), asyncio.Event()
    held = lease.Lease(
        cluster, "operator", identity="a", lease_s=0.05, now=clock, utc=clock.utc, taken=lambda *_: taken.set()
    )
    cluster.broken["*", "*"] = failures.UnavailableError("away")
    cluster.before = lambda _: asked.set()
    running = asyncio.create_task(held.run(stopping))
    await asked.wait()
    cluster.broken.clear()
    await taken.wait()
    stopping.set()
    await running

    assert not held.is_held()
    assert "" == cluster.seen(kube.LEASES, "operator")["spec"]["holderIdentity"]
