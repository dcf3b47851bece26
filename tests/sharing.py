"""Consumers that share a limit, operators, the network between them: what is true of them whatever comes.

Everything between two consumers' buckets is real: reports and answers as JSON, the exchange, what a consumer holds and
how it uses it. Made up are the network, the clocks, and who has the Lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import pathlib
import random
import typing

import httpx2
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from shop import Consumer, Operator, Shop, Wire

from aftercall.consumers import observer, reporting
from aftercall.contracts import reports, sections
from aftercall.operator import exchange, grants, handover, processes

LEASE_S, STALE_S, INTERVAL_S = 60.0, 30.0, 10.0
MOST = 4
LIMIT = grants.Limit(10.0, MOST, 6000.0)
A_MOMENT_S = 1e-6
SELDOM = st.sampled_from([False, False, False, True])
ADDRESS = httpx2.Request("POST", "http://operator/v1/reports")


class Sharing(RuleBasedStateMachine):
    """A pool of consumers that come, work, ask and are answered, and an operator that another may take over from."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.rng = random.Random(1)
        self.now_s = 0.0
        self.n_names = 0
        self.consumers: list[Consumer] = []
        self.silent: list[Consumer] = []
        self.ended: list[str] = []
        self.late: list[bytes] = []
        self.operators: list[Operator] = []
        self.is_renewing = True
        self.limit: grants.Limit | None = LIMIT
        self.in_force = [(LIMIT, math.inf)]
        """Limits, and until when what was granted of them may be used. When one is removed, there is none to keep to:
        consumers that have not read of it go on with what the operator knew last, which may be any there was."""
        self.let_in_s = 0.0
        self.seen = (0.0, 0.0, 0.0)

    @initialize(n=st.integers(2, MOST))
    def begin(self, n: int) -> None:
        """Start with some, and an operator whose first lease is over."""
        self.an_operator_takes_the_lease(really=True)
        self.now_s += LEASE_S
        self.operators[-1].held_at_s += LEASE_S
        self.seen = (self.now_s, 0.0, 0.0)
        for _ in range(n):
            self.a_consumer_joins()

    def start(self, name: str) -> Consumer:
        """Start a process."""
        offset_s = self.rng.uniform(-1e4, 1e4)
        shop, wire = Shop(lambda: self.now_s + offset_s, self.limit), Wire()
        told = {"url": "http://operator", "pool": "calls", "token_file": pathlib.Path("/dev/null")}
        reporter = reporting.Reporter(
            sections.Reporting.model_validate(told),
            typing.cast(httpx2.AsyncClient, wire),
            name=name,
            instance=f"i{self.rng.random()}",
            backlog=shop,
            holder=shop,
            positions=dict,
            works=lambda: (reports.Work(), reports.Work()),
            observe=observer.Unobserved(),
            clock=shop.clock,
        )
        shop.add(2)
        return Consumer(name, shop, wire, reporter, self.operators[-1])

    def pump(self) -> None:
        """Let tasks go on as far as they can."""
        for _ in range(4):
            self.loop.run_until_complete(asyncio.sleep(0))

    @rule(passed_s=st.sampled_from([0.1, 1.0, 5.0, 10.0, 29.0, 31.0, 59.0, 61.0]))
    def time_passes(self, passed_s: float) -> None:
        """Those with work use what they may, now and then."""
        self.together_they_are_within_the_limit()  # what has changed since counts from now on
        for _ in range(3):
            self.now_s += passed_s / 3
            if self.is_renewing:
                self.renew()
            for each in (*self.consumers, *self.silent):
                each.shop.work()

    def renew(self) -> None:
        """Let the operator renew the Lease; it hears of the limit's changes too."""
        self.operators[-1].held_at_s = self.now_s + self.operators[-1].offset_s
        self.operators[-1].limit = self.limit

    @rule(at=st.integers(0, 3), n_pieces=st.sampled_from([1, 5, 50, 300]))
    def work_comes(self, at: int, n_pieces: int) -> None:
        """A consumer could use more."""
        if self.consumers:
            self.consumers[at % len(self.consumers)].shop.add(n_pieces)

    @rule(at=st.integers(0, 3))
    def a_consumer_asks(self, at: int) -> None:
        """What it asked before is given up: no answer will be read, but the question may still arrive."""
        if not self.consumers:
            return
        one = self.consumers[at % len(self.consumers)]
        if one.asking is not None:
            self.give_up(one)
        one.asking = self.loop.create_task(one.reporter.report())
        self.pump()

    def give_up(self, one: Consumer) -> None:
        """End an exchange without an answer."""
        assert one.wire.reply is not None
        assert one.wire.question is not None
        self.late.append(one.wire.question)
        one.wire.reply.set_exception(httpx2.ReadTimeout("no answer", request=ADDRESS))
        self.pump()
        assert one.asking is not None
        assert one.asking.done()
        one.asking = None

    @rule(at=st.integers(0, 3), passed_s=st.sampled_from([0.0, 0.0, 3.0, 40.0]))
    def a_question_is_answered(self, at: int, passed_s: float) -> None:
        """The answer takes its time."""
        asking = [each for each in self.consumers if each.asking is not None]
        if not asking:
            return
        one = asking[at % len(asking)]
        assert one.wire.question is not None
        assert one.wire.reply is not None
        answer = self.hear(one.wire.question, one.operator)
        self.time_passes(passed_s)
        one.wire.reply.set_result(answer)
        self.pump()
        assert one.asking is not None
        assert one.asking.done()
        assert one.asking.exception() is None
        one.asking = None

    @rule(at=st.integers(0, 3))
    def a_consumer_asks_and_is_answered(self, at: int) -> None:
        """At once, as nearly always."""
        self.a_consumer_asks(at)
        if self.consumers:
            one = self.consumers[at % len(self.consumers)]
            others = [each for each in self.consumers if each.asking is not None]
            self.a_question_is_answered(others.index(one), 0.0)

    @rule(passed_s=st.sampled_from([1.0, 10.0]))
    def all_ask_and_are_answered(self, passed_s: float) -> None:
        """One after another."""
        for at in range(len(self.consumers)):
            self.a_consumer_asks_and_is_answered(at)
        self.time_passes(passed_s)

    def hear(self, question: bytes, operator: Operator) -> httpx2.Response:
        """Let an operator answer."""
        try:
            answer = operator.exchange.hear(
                reports.ConsumerReport.model_validate_json(question),
                {} if operator.limit is None else {"t": operator.limit},
                now_s=self.now_s + operator.offset_s,
                held_at_s=operator.held_at_s,
            )
        except (processes.RefusedError, exchange.NotLeadingError):
            return httpx2.Response(503, request=ADDRESS)
        return httpx2.Response(200, content=answer.model_dump_json().encode(), request=ADDRESS)

    @rule(really=SELDOM, who=st.integers(0, 15))
    def an_operator_takes_the_lease(self, really: bool, who: int = 0, left: handover.Holders | None = None) -> None:
        """It knows nothing but epochs; the one before still answers some, and does not know that it has lost it."""
        if not really:
            return
        self.is_renewing = True
        offset_s = self.rng.uniform(-1e4, 1e4)
        new = Operator(exchange.Exchange(lease_s=LEASE_S, stale_s=STALE_S), offset_s, self.now_s + offset_s, self.limit)
        new.exchange.begin(len(self.operators) + 1, now_s=new.held_at_s, holders=left)
        self.operators.append(new)
        for at, each in enumerate(self.consumers):
            if not who & 1 << at:
                each.operator = new

    @rule()
    def a_consumer_joins(self) -> None:
        """With a name of its own."""
        if len(self.consumers) + len(self.silent) < MOST:
            self.n_names += 1
            self.consumers.append(self.start(f"c{self.n_names}"))

    def stop(self, one: Consumer, *, is_killed: bool, is_told: bool) -> None:
        """End a process; unless killed it returns what it held, and the operator may hear of it."""
        if one.asking is not None:
            self.give_up(one)
        if not is_killed:
            one.asking = self.loop.create_task(one.reporter.leave())  # type: ignore[arg-type]
            self.pump()
            assert one.wire.question is not None
            if is_told:
                self.hear(one.wire.question, one.operator)
            self.give_up(one)
        self.end(one)

    def end(self, one: Consumer) -> None:
        """Keep what it has begun, and drop what it had saved up."""
        self.let_in_s += one.shop.begun_s

    @invariant()
    def together_they_are_within_the_limit(self) -> None:
        """In rates, in what is saved up, and in what was let in over any time: that time's part, and the burst.

        Grants within the largest limit that is in force, and floors as each one's tenants file says.
        """
        shops = [each.shop for each in (*self.consumers, *self.silent)]
        limits = [each.limit for each in shops if each.limit is not None]
        floors_per_s = sum(each.floor_per_s for each in limits)
        floors_burst_s = sum(each.burst_of(each.floor_per_s) for each in limits)
        assert sum(each.rate() for each in shops) <= (self.shared(self.now_s)[0] + floors_per_s) * (1 + 1e-9)
        # Not what is saved up alone: a burst of 6,000 at 10 a second fills in ten minutes, and few runs are as long.
        assert sum(each.burst_s() for each in shops) <= (self.shared(self.now_s)[1] + floors_burst_s) * (1 + 1e-9)
        saved_s = sum(each.level_s() for each in shops)
        assert saved_s <= (self.shared(self.now_s)[1] + floors_burst_s) * (1 + 1e-9)
        let_in_s = self.let_in_s + sum(each.begun_s for each in shops)
        at_s, before_s, before_per_s = self.seen
        may_s = before_per_s * (self.now_s - at_s)
        ends_s = sorted({min(max(at_s, until_s), self.now_s) for _, until_s in self.in_force} | {at_s, self.now_s})
        may_s += sum(self.shared(since_s)[0] * (until_s - since_s) for since_s, until_s in itertools.pairwise(ends_s))
        assert let_in_s + saved_s - before_s <= may_s + 1e-6 + A_MOMENT_S * 40
        self.seen = (self.now_s, let_in_s + saved_s, floors_per_s)

    def shared(self, at_s: float) -> tuple[float, float]:
        """Return the largest rate and the largest burst that grants of limits in force are together."""
        in_force = [limit for limit, until_s in self.in_force if at_s < until_s + A_MOMENT_S]
        return (
            max(each.shared_per_s() for each in in_force),
            max(each.burst_of(each.shared_per_s()) for each in in_force),
        )

    def change(self, limit: grants.Limit | None) -> None:
        """Let the limit be another, or none; whoever can renew the Lease knows at once, and consumers later."""
        if limit is None:
            self.in_force = [(each, math.inf) for each, _ in self.in_force]
        else:
            ends_s = self.now_s + LEASE_S
            self.in_force = [(each, min(until_s, ends_s)) for each, until_s in self.in_force] + [(limit, math.inf)]
        self.limit = limit
        if self.is_renewing:
            self.renew()

    def teardown(self) -> None:
        """Left alone, they use all of it within a lease and two rounds, and whoever has work gets some done."""
        with contextlib.closing(self.loop):
            self.they_are_left_alone()

    def they_are_left_alone(self) -> None:
        """Nobody joins or goes any more, and nothing is lost."""
        for one in self.silent:
            self.end(one)
            self.operators[-1].exchange.gone("calls", one.name)
        self.silent.clear()
        for name in self.ended:
            self.operators[-1].exchange.gone("calls", name)
        if self.limit is None:
            self.change(LIMIT)
        for each in self.consumers:
            if each.asking is not None:
                self.give_up(each)
            each.operator = self.operators[-1]
            each.shop.read(self.limit)
            each.shop.add(600)
            each.shop.work()
        self.is_renewing = True
        begun_s = [each.shop.begun_s for each in self.consumers]
        # One more, since what comes when a lease has just ended may be rounded to be within it.
        self.go_on(round(LEASE_S / INTERVAL_S) + 4)
        rates = [each.shop.rate() for each in self.consumers]
        # The last to be raised has a round behind it: of a limit of 5, a quarter in 10 s is less than one piece.
        self.go_on(2)
        if self.consumers:
            assert self.limit is not None
            assert sum(rates) >= 0.99 * self.limit.per_s
            assert max(rates) - min(rates) < 1e-6
            assert all(each.shop.begun_s > before for each, before in zip(self.consumers, begun_s, strict=True))

    def go_on(self, n_rounds: int) -> None:
        """Let all ask and be answered in each round, and use what they may."""
        for _ in range(n_rounds):
            for at in range(len(self.consumers)):
                self.renew()
                self.a_consumer_asks_and_is_answered(at)
                self.together_they_are_within_the_limit()
            self.time_passes(INTERVAL_S)
            self.together_they_are_within_the_limit()
