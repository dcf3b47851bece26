"""Attempts: work that is suspect has the process to itself, and only then is a death its own."""

from __future__ import annotations

import asyncio

import doubles

from aftercall.consumers import attempt, job
from aftercall.consumers.intake import claimed, claims, delivery
from aftercall.consumers.publish import objects, outcome
from aftercall.contracts import documents, identity, outcomes


class Process:
    """One consumer's attempts over a shared store; its work never ends, and its death is a cancellation."""

    def __init__(self, store: objects.ObjectStore, owner: str) -> None:
        self.began: list[str] = []
        self.claims = claimed.Claims(store, owner=owner, lease_s=0.05)
        self._attempts = attempt.Attempts(
            self._work,
            self.claims,
            outcome.Publisher(store, doubles.ListTopic()),
            max_strikes=3,
            now=lambda: doubles.NOW,
        )
        self._tasks: list[asyncio.Task[job.End]] = []

    async def _work(self, taken: delivery.Delivery) -> job.End:
        self.began.append(taken.event.call_id)
        await asyncio.Event().wait()
        raise AssertionError

    async def open(self, *calls: str) -> None:
        """Work on these calls, as soon as their claims are free."""

        async def run(call: str) -> job.End:
            end: job.End = job.Again(outcomes.Reason.CLAIMED, "", 0.0)
            for _ in range(100):
                if isinstance(end, job.Again):
                    await asyncio.sleep(end.delay_s)
                    end = await self._attempts.run(doubles.taken(call))
            return end

        self._tasks = [asyncio.create_task(run(call)) for call in calls]
        await asyncio.sleep(0.2)

    async def die(self) -> None:
        """Stop without a word."""
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if task.get_name().startswith("claim "):
                task.cancel()
        self.claims.end = _nothing  # type: ignore[method-assign]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _nothing(*_: object, **__: object) -> None:
    pass


async def latest(store: objects.ObjectStore, call: str) -> claims.Claim:
    """Return a call's latest claim."""
    work: identity.Work = doubles.taken(call).work
    key = max(await store.keys(work.claims_prefix))
    data = await store.get(key)
    assert data is not None
    return documents.parse(claims.Claim, data, what=key)


async def test_only_the_one_that_was_alone_is_blamed() -> None:
    """Both were open when the first process died; in the second, one works and the other waits for its turn."""
    store = objects.ObjectStore.in_memory()
    first = Process(store, "a")
    await first.open("c1", "c2")
    assert ["c1", "c2"] == sorted(first.began)
    await first.die()
    second = Process(store, "b")
    await second.open("c1", "c2")
    assert 1 == len(second.began)
    alone = second.began[0]
    waiting = {"c1": "c2", "c2": "c1"}[alone]
    assert (True, True) == ((await latest(store, alone)).suspect, (await latest(store, alone)).alone)
    assert (True, False) == ((await latest(store, waiting)).suspect, (await latest(store, waiting)).alone)
    await second.die()
    third = Process(store, "c")

    await third.open("c1", "c2")

    assert (1, 0) == ((await latest(store, alone)).strikes, (await latest(store, waiting)).strikes)
    await third.die()
