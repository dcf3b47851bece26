"""Every step between taking work and finishing it, crashed before, crashed after, or its answer lost: exhaustively.

A process is its claims, its job and its view of the store; a crash ends all three at once, in the middle of an
operation. What follows is a redelivery, a process that comes back late, or a second opinion: then promises are checked.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import enum
import itertools
import sys
import typing

import doubles
import pytest

from aftercall.consumers import attempt, checkpoints, job
from aftercall.consumers.intake import claimed, delivery
from aftercall.consumers.publish import objects, outcome
from aftercall.contracts import errors, events, outcomes, transcript

LEASE_S = 100.0


class Crash(BaseException):
    """The process is no more; nothing in it may catch this."""


class Fault(enum.StrEnum):
    """What happens to one operation."""

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    ACK_LOST = "answer lost"
    HANG = "hang"


class Then(enum.StrEnum):
    """What happens next."""

    REDELIVERY = "redelivery"
    FIRST_SAYS_DEAD = "the first had failed for good"
    SECOND_SAYS_DEAD = "the second fails for good"


@dataclasses.dataclass
class World:
    """What outlives processes: the store, the topic, and the time."""

    store: objects.ObjectStore
    news: list[events.Event]
    now_s: float = 0.0


class Process:
    """One process; its operation number `at` meets the fault."""

    def __init__(self, world: World, name: str, *, says_dead: bool, at: int | None = None, fault: Fault | None = None):
        self._world, self._at, self._fault = world, at, fault
        self.steps: list[str] = []
        self.hanging, self.released = asyncio.Event(), asyncio.Event()
        self._crashed = False
        store = typing.cast("objects.ObjectStore", self)
        self.claims = claimed.Claims(store, owner=name, lease_s=LEASE_S, clock=lambda: world.now_s)
        publisher = outcome.Publisher(store, self)

        async def transcribe(taken: delivery.Delivery) -> transcript.Transcript:
            await self._step("transcribe", None)
            if says_dead:
                raise errors.PermanentError("no", reason=outcomes.Reason.BACKEND_REFUSED)
            return doubles.made(texts=(name,))

        jobs = job.Job(
            publisher, checkpoints.NoCheckpoints(), self.claims, transcribe, max_strikes=3, now=lambda: doubles.NOW
        )
        self._attempts = attempt.Attempts(jobs.run, self.claims, publisher, max_strikes=3, now=lambda: doubles.NOW)

    async def run(self) -> outcomes.Outcome:
        """Bring the work to its end, waiting as long as it is told."""
        for _ in range(20):
            end = await self._attempts.run(doubles.taken())
            if isinstance(end, job.Ended):
                await self._step("finish", None)
                return end.outcome
            self._world.now_s += end.delay_s
        raise AssertionError(f"no end after 20 tries: {self.steps}")

    async def _step(self, name: str, act: typing.Callable[[], typing.Awaitable[typing.Any]] | None) -> typing.Any:
        if self._crashed:
            raise Crash
        self.steps.append(name)
        mine = self._fault if len(self.steps) - 1 == self._at else None
        if mine is Fault.CRASH_BEFORE:
            self._crashed = True
            raise Crash
        if mine is Fault.HANG:
            self.hanging.set()
            await self.released.wait()
        answer = await act() if act is not None else None
        if mine is Fault.CRASH_AFTER:
            self._crashed = True
            raise Crash
        if mine is Fault.ACK_LOST and act is not None:
            raise errors.TransientError("answer lost", reason=outcomes.Reason.STORE_UNAVAILABLE, retry_after_s=0.0)
        return answer

    async def create(self, key: str, data: bytes) -> None:
        """See `objects.ObjectStore`."""
        await self._step(f"create {key.partition('/')[0]}", lambda: self._world.store.create(key, data))

    async def put(self, key: str, data: bytes) -> None:
        """See `objects.ObjectStore`."""
        await self._step(f"put {key.partition('/')[0]}", lambda: self._world.store.put(key, data))

    async def get(self, key: str) -> bytes | None:
        """See `objects.ObjectStore`."""
        found = await self._step(f"get {key.partition('/')[0]}", lambda: self._world.store.get(key))
        return typing.cast("bytes | None", found)

    async def keys(self, prefix: str) -> list[str]:
        """See `objects.ObjectStore`."""
        found = await self._step(f"list {prefix.partition('/')[0]}", lambda: self._world.store.keys(prefix))
        return typing.cast("list[str]", found)

    async def delete(self, key: str) -> None:
        """See `objects.ObjectStore`."""
        await self._step(f"delete {key.partition('/')[0]}", lambda: self._world.store.delete(key))

    async def append(self, event: events.Event) -> None:
        """See `topic.News`."""

        async def act() -> None:
            self._world.news.append(event)

        await self._step("append news", act)


async def crash_or_hang(at: int, fault: Fault, then: Then) -> tuple[World, list[str], outcomes.Outcome]:
    """Let one process meet a fault and another follow; return what is left and what was decided."""
    world = World(objects.ObjectStore.in_memory(), [])
    first = Process(world, "first", says_dead=then is Then.FIRST_SAYS_DEAD, at=at, fault=fault)
    running = asyncio.create_task(first.run())
    if fault is Fault.HANG:
        hung = asyncio.create_task(first.hanging.wait())
        await asyncio.wait({running, hung}, return_when=asyncio.FIRST_COMPLETED)
        hung.cancel()
    else:
        with contextlib.suppress(Crash):
            await running
    second = Process(world, "second", says_dead=then is Then.SECOND_SAYS_DEAD)
    decided = await second.run()
    first.released.set()
    with contextlib.suppress(Crash):
        assert decided == await running, "the late process believes something else"
    for process in (first, second):
        for held in list(process.claims._held.values()):
            if held.beating is not None:
                held.beating.cancel()
    return world, first.steps, decided


async def problems(world: World, decided: outcomes.Outcome) -> list[str]:
    """Return every promise that was broken."""
    keys = await world.store.keys("")
    found = [key for key in keys if key.startswith("outcomes/")]
    named = decided.transcript_key
    told = {event.type for event in world.news}
    ids = {event.id for event in world.news}
    wanted = events.TRANSCRIPT_READY if decided.kind is outcomes.Kind.CANONICAL else events.TRANSCRIPT_FAILED
    last = max(int(key.rpartition("/")[2].removesuffix(".json")) for key in keys if key.startswith("claims/"))
    checks = {
        f"{len(found)} outcomes": len(found) == 1,
        "the transcript is gone": named is None or named in keys,
        "no news": bool(world.news),
        "news of two kinds": told == {wanted},
        "news of two ids": ids == {decided.transcription_id},
        f"{last} attempts": last <= 3,
        "the copy for people is missing": named is None or "transcripts/acme/c1.json" in keys,
    }
    return [problem for problem, holds in checks.items() if not holds]


async def count_steps() -> int:
    """Return how many operations an undisturbed run takes."""
    process = Process(World(objects.ObjectStore.in_memory(), []), "alone", says_dead=False)
    await process.run()
    return len(process.steps)


@pytest.mark.timeout(180)
async def test_no_crash_breaks_a_promise() -> None:
    """One outcome, its transcript, its news, at every point of the way."""
    n, kinds, broken = 0, collections.Counter[str](), []
    for at, fault, then in itertools.product(range(await count_steps() + 2), Fault, Then):
        world, steps, decided = await crash_or_hang(at, fault, then)
        n += 1
        kinds[decided.kind] += 1
        found = await problems(world, decided)
        if found:
            broken.append(f"{fault} at {steps[min(at, len(steps) - 1)]} ({at}), {then}: {found}")
    sys.stdout.write(f"{n} crash points: {dict(kinds)}; {len(broken)} broken\n")
    assert [] == broken
    assert n >= 150
    assert {"canonical", "dead"} == set(kinds)


@pytest.mark.parametrize(
    ("mutant", "problem"),
    [
        ("overwrite", "the late process believes something else"),  # outcomes are put, not created
        ("delete_winner", "the transcript is gone"),  # a loser deletes what the winner named
        ("no_news_again", "no news"),  # who finds an outcome does not announce it
    ],
)
async def test_the_matrix_catches(mutant: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these bugs breaks a promise at some point."""
    if mutant == "overwrite":
        monkeypatch.setattr(Process, "create", Process.put)
    elif mutant == "delete_winner":
        decide = outcome.Publisher._decide

        async def wrong(self: outcome.Publisher, work: typing.Any, mine: outcomes.Outcome) -> outcomes.Outcome:
            decided = await decide(self, work, mine)
            if decided.transcript_key != mine.transcript_key and decided.transcript_key is not None:
                await self._store.delete(decided.transcript_key)
            return decided

        monkeypatch.setattr(outcome.Publisher, "_decide", wrong)
    else:

        async def silent(self: outcome.Publisher, decided: outcomes.Outcome) -> None:
            if sys._getframe(1).f_code.co_name.startswith("publish"):
                await announce(self, decided)

        announce = outcome.Publisher.announce
        monkeypatch.setattr(outcome.Publisher, "announce", silent)
    found: list[str] = []
    for at, fault, then in itertools.product(range(await count_steps()), Fault, Then):
        try:
            world, _, decided = await crash_or_hang(at, fault, then)
        except AssertionError as exc:
            found.append(str(exc))
            continue
        found += await problems(world, decided)
    assert any(problem in one for one in found), found
