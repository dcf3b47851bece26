"""Claims: who may work, how attempts are counted, and who is blamed for a death."""

from __future__ import annotations

import asyncio
import dataclasses

import doubles
import pytest

from aftercall.consumers.intake import claimed, claims
from aftercall.consumers.publish import objects
from aftercall.contracts import outcomes, reports

OPEN = claims.Claim(owner="a", attempt=2, strikes=1)


@pytest.mark.parametrize(
    ("latest", "unchanged_s", "expected"),
    [
        (None, 0.0, claims.Take(claims.Claim(owner="b", attempt=1))),
        # Ended by its owner: at once, and nobody is blamed again.
        (OPEN.model_copy(update={"ended": True}), 0.0, claims.Take(claims.Claim(owner="b", attempt=3, strikes=1))),
        (OPEN, 9.0, claims.Wait(1.0, "a")),
        # The owner fell silent: once more, alone; that death proves nothing.
        (OPEN, 10.0, claims.Take(claims.Claim(owner="b", attempt=3, strikes=1, suspect=True))),
        # It fell silent with nothing else open: that is a strike.
        (
            OPEN.model_copy(update={"alone": True}),
            10.0,
            claims.Take(claims.Claim(owner="b", attempt=3, strikes=2, suspect=True)),
        ),
    ],
)
def test_what_a_claim_means(
    latest: claims.Claim | None, unchanged_s: float, expected: claims.Take | claims.Wait
) -> None:
    """By what another process has seen of it."""
    assert expected == claims.decide(latest, unchanged_s=unchanged_s, owner="b", lease_s=10.0)


class Clock:
    """Time in hand."""

    now = 0.0

    def __call__(self) -> float:
        """Tell it."""
        return self.now


@dataclasses.dataclass
class Two:
    """Two processes over one store, with time in hand."""

    store: objects.ObjectStore
    clock: Clock
    first: claimed.Claims
    second: claimed.Claims


@pytest.fixture
def two() -> Two:
    """Two processes."""
    store, clock = objects.ObjectStore.in_memory(), Clock()
    # A lease so long that no heartbeat comes by itself.
    first, second = (claimed.Claims(store, owner=name, lease_s=1000.0, clock=clock) for name in "ab")
    return Two(store, clock, first, second)


async def test_one_of_two_gets_it(two: Two) -> None:
    """However close they come; the other is told to wait."""
    work = doubles.taken().work
    said = await asyncio.gather(two.first.take(work, doubles.event()), two.second.take(work, doubles.event()))

    assert [claimed.Held, claims.Wait] == sorted((type(one) for one in said), key=lambda kind: kind.__name__)


async def test_silence_is_measured_by_the_one_who_waits(two: Two) -> None:
    """A heartbeat in between begins the lease anew; then the attempt after is taken, alone."""
    work = doubles.taken().work
    held = await two.first.take(work, doubles.event())
    assert isinstance(held, claimed.Held)
    assert claims.Wait(1000.0, "a") == await two.second.take(work, doubles.event())
    two.clock.now = 999.0
    await two.first.report(work, reports.Stage.TRANSCRIBING, progress=0.5)
    await two.first._write(held)
    assert claims.Wait(1000.0, "a") == await two.second.take(work, doubles.event())
    two.clock.now = 1998.0
    assert claims.Wait(1.0, "a") == await two.second.take(work, doubles.event())
    two.clock.now = 1999.0

    taken = await two.second.take(work, doubles.event())

    assert isinstance(taken, claimed.Held)
    assert (2, True, 0) == (taken.claim.attempt, taken.claim.suspect, taken.claim.strikes)


async def test_work_that_was_handed_back_is_taken_at_once(two: Two) -> None:
    """With its strikes."""
    work = doubles.taken().work
    held = await two.first.take(work, doubles.event())
    assert isinstance(held, claimed.Held)
    await two.first.end(held, reason=outcomes.Reason.DECODER_DIED, message="died", strike=True)

    taken = await two.second.take(work, doubles.event())

    assert isinstance(taken, claimed.Held)
    assert (2, False, 1) == (taken.claim.attempt, taken.claim.suspect, taken.claim.strikes)


async def test_the_same_work_twice_in_one_process_waits(two: Two) -> None:
    """Two events of one recording on two partitions."""
    work = doubles.taken().work
    assert isinstance(await two.first.take(work, doubles.event()), claimed.Held)

    assert isinstance(await two.first.take(work, doubles.event()), claims.Wait)


async def test_a_lost_answer_is_no_loss(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store took the claim, said nothing, and then that it exists: it is ours."""
    create = two.store.create

    async def create_twice(key: str, data: bytes) -> None:
        await create(key, data)
        await create(key, data)

    monkeypatch.setattr(two.store, "create", create_twice)

    assert isinstance(await two.first.take(doubles.taken().work, doubles.event()), claimed.Held)


async def test_two_deliveries_at_once_in_one_process_are_one_attempt(two: Two) -> None:
    """They would write the same claim, and neither could tell it from its own."""
    work = doubles.taken().work
    said = await asyncio.gather(two.first.take(work, doubles.event()), two.first.take(work, doubles.event()))

    assert [claimed.Held, claims.Wait] == sorted((type(one) for one in said), key=lambda kind: kind.__name__)
