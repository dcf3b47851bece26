"""Shares of a limit, whatever is lost, late, restarted or gone: together they are never more than the limit.

Where the limit itself changes, never more than the largest that was in force within the last lease; so one lease after
it was lowered, no more than the new one.

Everything between two consumers' buckets is real: reports and answers as JSON, the exchange, what a consumer holds and
how it uses it. Made up are the network, the clocks, and who has the Lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import math
import pathlib
import random
import typing
from collections.abc import Mapping, Sequence

import httpx2
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aftercall.consumers import observer, reporting
from aftercall.consumers.intake import admission, granted, tally, turns
from aftercall.contracts import reports, sections
from aftercall.operator import exchange, grants, handover, processes

LEASE_S, STALE_S, INTERVAL_S = 60.0, 30.0, 10.0
MOST = 4
LIMIT = grants.Limit(10.0, MOST, 6000.0)
OTHERS = (
    grants.Limit(40.0, MOST, 6000.0),
    grants.Limit(20.0, MOST, 12000.0),
    grants.Limit(10.0, MOST, 24000.0),
    grants.Limit(5.0, MOST, 6000.0),
)
PIECE_S = 15.0
"""As much as the smallest burst of one floor, so that nothing leaves a debt."""
A_MOMENT_S = 1e-6
SELDOM = st.sampled_from([False, False, False, True])
ADDRESS = httpx2.Request("POST", "http://operator/v1/reports")


class Shop:
    """One consumer's intake: work of one tenant without end, or none, begun as soon as its limit lets it."""

    def __init__(self, clock: typing.Callable[[], float], limit: grants.Limit | None) -> None:
        self.clock = clock
        self.limit = limit
        """As its tenants file says; None: all may begin, and nothing of it is counted."""
        self.granted: granted.Granted | None = None
        self.tally = tally.Tally()
        self.accounts = turns.Accounts()
        self.turns: turns.Turns[tally.Entry] = turns.Turns(self.terms_of, self.accounts)
        self.begun_s = 0.0

    def terms_of(self, tenant: str) -> turns.Terms:
        """Return the tenant's."""
        assert self.granted is not None
        if self.limit is None:
            return turns.Terms()
        whole = admission.Limit(self.limit.per_s, self.limit.burst_audio_s)
        return turns.Terms(limit=granted.limit_of(whole, self.limit.floor_per_s, self.granted, tenant))

    def read(self, limit: grants.Limit | None) -> None:
        """Take in another tenants file, as `Tenants.watch` does."""
        self.limit = limit
        self.renew_terms()

    def add(self, n_pieces: int) -> None:
        """Let work come."""
        for _ in range(n_pieces):
            entry = tally.Entry("t", 0, PIECE_S)
            self.tally.wait(entry)
            self.turns.add("t", entry, estimate_s=PIECE_S, opened=0.0)

    def work(self) -> None:
        """Begin and end what may begin now."""
        while (turn := self.turns.take(now_s=self.clock())) is not None:
            self.tally.begin(turn.item)
            self.tally.end(turn.item, actual_s=PIECE_S)
            self.turns.end(turn, actual_s=PIECE_S)
            if self.limit is not None:
                self.begun_s += PIECE_S

    def rate(self) -> float:
        """Return what may be used now of the limit, audio-seconds a second."""
        limit = self.terms_of("t").limit
        return 0.0 if limit is None else limit.at(self.clock()).rate

    def burst_s(self) -> float:
        """Return what may be saved up now of the limit, audio-seconds."""
        limit = self.terms_of("t").limit
        return 0.0 if limit is None else limit.at(self.clock()).burst_s

    def level_s(self) -> float:
        """Return what is saved up."""
        account = self.accounts.of("t")
        if account.bucket is None or account.limit is None:
            return 0.0
        return admission.settle(account.bucket, account.limit, now_s=self.clock()).level_s

    def loads(self, *, now_s: float) -> Mapping[tally.Line, tally.Sums]:
        """Return what is here."""
        return self.tally.read(now_s=now_s)

    def is_throttled(self, tenant: str) -> bool:
        """Say whether the limit holds it back."""
        return self.turns.is_throttled(tenant, now_s=self.clock())

    def renew_terms(self) -> None:
        """Use other limits from now on."""
        self.accounts.renew(self.terms_of, now_s=self.clock())
        self.turns.reconsider_all()

    def charge_elsewhere(self, given_s: Mapping[str, Sequence[float]]) -> None:
        """Nothing: one tenant is alone here."""


class Wire:
    """One consumer's connection: one question at a time, answered or not."""

    def __init__(self) -> None:
        self.question: bytes | None = None
        self.reply: asyncio.Future[httpx2.Response] | None = None

    async def post(self, path: str, *, content: bytes, headers: Mapping[str, str]) -> httpx2.Response:
        """Ask."""
        self.question, self.reply = content, asyncio.get_running_loop().create_future()
        return await self.reply


@dataclasses.dataclass
class Consumer:
    """A process, the operator that its address leads to, and the report that it waits for an answer to."""

    name: str
    shop: Shop
    wire: Wire
    reporter: reporting.Reporter
    operator: Operator
    asking: asyncio.Task[float | None] | None = None


@dataclasses.dataclass
class Operator:
    """One that has the Lease, or had it; `held_at_s` by its own clock, and the limit as it was then."""

    exchange: exchange.Exchange
    offset_s: float
    held_at_s: float
    limit: grants.Limit | None


class Machine(RuleBasedStateMachine):
    """Consumers, operators, and a network between them that loses and delays."""

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

    @rule(at=st.integers(0, 3), passed_s=st.sampled_from([3.0, 40.0]))
    def an_answer_is_long_on_its_way_and_then_the_others_ask(self, at: int, passed_s: float) -> None:
        """When its lease has run out for the operator, and the consumer has said nothing since."""
        if self.consumers:
            at %= len(self.consumers)
            self.a_consumer_asks(at)
            asking = [each for each in self.consumers if each.asking is not None]
            self.a_question_is_answered(asking.index(self.consumers[at]), passed_s)
            self.time_passes(31.0)
            for other in range(len(self.consumers)):
                if other != at:
                    self.a_consumer_asks_and_is_answered(other)

    @rule(at=st.integers(0, 3), is_new=st.booleans())
    def an_answer_is_lost(self, at: int, is_new: bool) -> None:
        """The operator has counted it as out."""
        if is_new:
            self.a_consumer_asks(at)
        asking = [each for each in self.consumers if each.asking is not None]
        if asking:
            one = asking[at % len(asking)]
            assert one.wire.question is not None
            self.hear(one.wire.question, one.operator)
            self.give_up(one)

    @rule(at=st.integers(0, 3))
    def a_cut_is_lost_and_then_the_others_ask(self, at: int) -> None:
        """They want more than before, and it does not know that it may use less."""
        if not self.consumers:
            return
        cut = self.consumers[at % len(self.consumers)]
        others = [other for other, each in enumerate(self.consumers) if each is not cut]
        for other in others:
            self.consumers[other].shop.add(300)
            self.a_consumer_asks_and_is_answered(other)
        self.a_consumer_asks(at)
        assert cut.wire.question is not None
        self.hear(cut.wire.question, cut.operator)
        self.give_up(cut)
        for other in others:
            self.a_consumer_asks_and_is_answered(other)

    @rule(at=st.integers(0, 30), which=st.sampled_from([-1, -2]))
    def a_question_comes_late_or_again(self, at: int, which: int) -> None:
        """Nobody waits for the answer."""
        if self.late:
            self.hear(self.late[at % len(self.late)], self.operators[max(which, -len(self.operators))])

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

    @rule(is_renewing=st.sampled_from([True, True, False]))
    def the_api_server_goes_and_comes(self, is_renewing: bool) -> None:
        """Without it the Lease is not renewed."""
        self.is_renewing = is_renewing

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

    @rule(really=SELDOM, who=st.integers(0, 15))
    def an_operator_hands_over(self, really: bool, who: int) -> None:
        """It gives the Lease back, answers nobody any more, and tells who may hold what."""
        if not really or not self.is_renewing:
            return
        old = self.operators[-1]
        old.held_at_s = -math.inf
        left = handover.parse(handover.encode(old.exchange.hand_over(now_s=self.now_s + old.offset_s)))
        self.an_operator_takes_the_lease(really=True, who=who, left=left)

    @rule(how=st.sampled_from(["says nothing", "misses its cut", "was late", "was another process"]))
    def one_that_came_last_holds_most_when_an_operator_hands_over(self, how: str) -> None:
        """The others ask for all there is, of an operator that knows of it what it hears."""
        self.a_consumer_joins()
        self.is_renewing = True
        if not self.consumers:
            return
        at = len(self.consumers) - 1
        if how in ("was late", "was another process"):
            self.a_consumer_asks(at)
            self.give_up(self.consumers[at])
            late = self.late[-1]
        if how == "was another process":
            self.a_consumer_restarts(at, is_killed=True, is_told=False, really=True)
        self.consumers[at].shop.add(300)
        for _ in range(4):  # until others have said that they use what they were cut to
            self.all_ask_and_are_answered(1.0)
        self.an_operator_hands_over(really=True, who=0)
        if how in ("was late", "was another process"):
            self.hear(late, self.operators[-1])
        for _ in range(2):
            for other in range(at):
                self.consumers[other].shop.add(300)
                self.a_consumer_asks_and_is_answered(other)
            if how == "misses its cut":
                self.a_consumer_asks(at)
                question = self.consumers[at].wire.question
                assert question is not None
                self.hear(question, self.operators[-1])
                self.give_up(self.consumers[at])
        self.together_they_are_within_the_limit()

    @rule(at=st.integers(0, 3))
    def an_address_leads_to_the_new_operator(self, at: int) -> None:
        """Sooner or later."""
        if self.consumers:
            self.consumers[at % len(self.consumers)].operator = self.operators[-1]

    @rule(at=st.integers(0, 3), really=SELDOM)
    def a_consumer_falls_silent(self, at: int, really: bool) -> None:
        """It still works: nobody knows."""
        if really and self.consumers:
            one = self.consumers.pop(at % len(self.consumers))
            if one.asking is not None:
                self.give_up(one)
            self.silent.append(one)

    @rule(at=st.integers(0, 3), is_killed=st.booleans(), is_told=st.booleans(), really=SELDOM)
    def a_consumer_restarts(self, at: int, is_killed: bool, is_told: bool, really: bool) -> None:
        """Under the same name, and knows nothing."""
        if really and self.consumers:
            at %= len(self.consumers)
            self.stop(self.consumers[at], is_killed=is_killed, is_told=is_told)
            self.consumers[at] = self.start(self.consumers[at].name)

    @rule()
    def the_last_words_of_a_process_come_after_its_successors_first(self) -> None:
        """To an operator that has not heard of it before; then the others ask for what it gave back."""
        self.a_consumer_joins()
        self.together_they_are_within_the_limit()
        if not self.consumers:
            return
        at = len(self.consumers) - 1
        self.a_consumer_restarts(at, is_killed=False, is_told=False, really=True)
        last_words = self.late[-1]
        self.consumers[at].shop.add(300)
        self.all_ask_and_are_answered(1.0)
        self.all_ask_and_are_answered(1.0)
        self.hear(last_words, self.consumers[at].operator)
        self.all_ask_and_are_answered(1.0)

    @rule(at=st.integers(0, 3), is_told=st.booleans(), really=SELDOM)
    def a_consumer_drains(self, at: int, is_told: bool, really: bool) -> None:
        """And does not come again."""
        if really and self.consumers:
            one = self.consumers.pop(at % len(self.consumers))
            self.stop(one, is_killed=False, is_told=is_told)
            self.ended.append(one.name)

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

    @rule(at=st.integers(0, 3))
    def a_silent_consumer_ends(self, at: int) -> None:
        """Its pod is gone; nobody has seen it yet."""
        if self.silent:
            one = self.silent.pop(at % len(self.silent))
            self.end(one)
            self.ended.append(one.name)

    @rule(at=st.integers(0, 30))
    def its_end_is_seen(self, at: int) -> None:
        """By whoever has the Lease."""
        if self.ended:
            self.operators[-1].exchange.gone("calls", self.ended.pop(at % len(self.ended)))

    @rule()
    def a_consumer_joins(self) -> None:
        """With a name of its own."""
        if len(self.consumers) + len(self.silent) < MOST:
            self.n_names += 1
            self.consumers.append(self.start(f"c{self.n_names}"))

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


class ChangingMachine(Machine):
    """The same, of a limit that is raised, lowered, removed and restored."""

    @rule(limit=st.sampled_from([LIMIT, *OTHERS]))
    def the_limit_changes(self, limit: grants.Limit) -> None:
        """While grants of the one before are out."""
        self.change(limit)

    @rule(really=SELDOM)
    def the_limit_is_removed(self, really: bool) -> None:
        """Restored is it by a change."""
        if really:
            self.change(None)

    @rule(limit=st.sampled_from(OTHERS), at=st.integers(0, 3))
    def the_limit_changes_while_one_says_nothing(self, limit: grants.Limit, at: int) -> None:
        """The others are granted what it leaves."""
        self.all_ask_and_are_answered(1.0)
        self.change(limit)
        for other in range(len(self.consumers)):
            if other != at:
                self.consumers[other].shop.add(300)
        for _ in range(3):
            for other in range(len(self.consumers)):
                if other != at:
                    self.a_consumer_asks_and_is_answered(other)

    @rule(before=st.sampled_from(OTHERS), after=st.sampled_from(OTHERS), at=st.integers(0, 3))
    def one_renews_what_it_holds_of_another_limit(self, before: grants.Limit, after: grants.Limit, at: int) -> None:
        """With an operator that has just begun, and has heard nothing of the others."""
        self.change(before)
        for each in self.consumers:
            each.shop.read(before)
        self.together_they_are_within_the_limit()
        self.all_ask_and_are_answered(1.0)
        self.all_ask_and_are_answered(1.0)
        self.change(after)
        self.an_operator_takes_the_lease(really=True)
        self.a_consumer_reads_its_tenants_file(at)
        self.a_consumer_asks_and_is_answered(at)

    @rule(at=st.integers(0, 3))
    def a_consumer_reads_its_tenants_file(self, at: int) -> None:
        """Which Kubernetes brings within a minute or two."""
        shops = [each.shop for each in (*self.consumers, *self.silent)]
        if shops:
            shops[at % len(shops)].read(self.limit)


TestGrants = Machine.TestCase
TestGrants.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestChangingLimits = ChangingMachine.TestCase
TestChangingLimits.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
