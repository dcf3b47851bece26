"""Shares of a limit, whatever is lost, late, restarted or gone: together they are never more than the limit."""

from __future__ import annotations

import dataclasses

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aftercall.contracts import reports
from aftercall.operator import grants

LEASE_S = 900.0
STALE_S = 30.0
MOST = 4


@dataclasses.dataclass
class Consumer:
    """One as it is: what it applies until when, by its own clock, and the report that it waits for an answer to."""

    wanted_per_s: float = 0.0
    held: reports.Held | None = None
    until_s: float = 0.0
    asked_at_s: float | None = None
    reply: grants.Grant | None = None


@dataclasses.dataclass
class Operator:
    """One as it is: what it has heard and sent since it began."""

    began_at_s: float
    reports: dict[str, grants.Report] = dataclasses.field(default_factory=dict)
    issued: dict[str, tuple[grants.Grant, ...]] = dataclasses.field(default_factory=dict)


class Machine(RuleBasedStateMachine):
    """Consumers, an operator, and a network between them that loses and delays."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.number = 0
        self.limit = grants.Limit(100.0, MOST)
        self.consumers: dict[str, Consumer] = {}
        self.dead: dict[str, Consumer] = {}
        self.operator = Operator(began_at_s=-LEASE_S)

    @initialize(n=st.integers(1, MOST))
    def begin(self, n: int) -> None:
        """Start with some."""
        for name in "abcd"[:n]:
            self.consumers[name] = Consumer()

    def pick(self, at: int) -> tuple[str, Consumer] | None:
        """Return one of those that live."""
        names = sorted(self.consumers)
        return (names[at % len(names)], self.consumers[names[at % len(names)]]) if names else None

    @rule(passed_s=st.sampled_from([1.0, 5.0, 10.0, 31.0, 450.0, 890.0, 901.0]))
    def time_passes(self, passed_s: float) -> None:
        """Leases run out by the consumers' own clocks."""
        self.now_s += passed_s
        for each in (*self.consumers.values(), *self.dead.values()):
            if each.held is not None and each.until_s <= self.now_s:
                each.held = None

    @rule(at=st.integers(0, 3), wanted=st.sampled_from([0.0, 30.0, 1000.0]))
    def work_comes(self, at: int, wanted: float) -> None:
        """A consumer could use more, or less."""
        if (one := self.pick(at)) is not None:
            one[1].wanted_per_s = wanted

    @rule(at=st.integers(0, 3), fate=st.sampled_from(["answered", "answered", "answer lost", "lost", "on its way"]))
    def a_report_is_sent(self, at: int, fate: str) -> None:
        """What was asked before is given up; its answer will not be read."""
        if (one := self.pick(at)) is None:
            return
        name, consumer = one
        consumer.asked_at_s, consumer.reply = self.now_s, None
        if fate != "lost":
            consumer.reply = self.answer(name, consumer)
        if fate == "answered":
            self.an_answer_arrives(at)
        elif fate != "on its way":
            consumer.asked_at_s = consumer.reply = None

    def answer(self, name: str, consumer: Consumer) -> grants.Grant:
        """Let the operator answer a report."""
        self.number += 1
        self.operator.reports[name] = grants.Report(consumer.wanted_per_s, self.now_s, consumer.held)
        grant, self.operator.issued = grants.answer(
            name,
            self.limit,
            self.operator.reports,
            self.operator.issued,
            number=self.number,
            now_s=self.now_s,
            lease_s=LEASE_S,
            stale_s=STALE_S,
            began_at_s=self.operator.began_at_s,
        )
        return grant

    @rule(at=st.integers(0, 3))
    def an_answer_arrives(self, at: int) -> None:
        """It counts from when its report was sent."""
        one = self.pick(at)
        if one is None or one[1].reply is None or one[1].asked_at_s is None:
            return
        consumer = one[1]
        assert consumer.reply is not None
        assert consumer.asked_at_s is not None
        until_s = consumer.asked_at_s + LEASE_S
        if until_s > self.now_s:
            consumer.held, consumer.until_s = (
                reports.Held(number=consumer.reply.number, per_s=consumer.reply.per_s),
                until_s,
            )
        consumer.asked_at_s = consumer.reply = None

    @rule(at=st.integers(0, 3))
    def a_consumer_falls_silent(self, at: int) -> None:
        """It may still work: nobody knows."""
        if (one := self.pick(at)) is not None:
            self.dead[one[0]] = self.consumers.pop(one[0])

    @rule(at=st.integers(0, 3))
    def a_consumer_is_gone(self, at: int) -> None:
        """Its pod has ended."""
        if self.dead:
            name = sorted(self.dead)[at % len(self.dead)]
            del self.dead[name]
            self.operator.issued = grants.gone(name, self.operator.issued)
            self.operator.reports = {who: each for who, each in self.operator.reports.items() if who != name}

    @rule()
    def a_consumer_joins(self) -> None:
        """With a name of its own."""
        if len(self.consumers) + len(self.dead) < MOST:
            self.number += 1
            self.consumers[f"n{self.number}"] = Consumer(wanted_per_s=1000.0)

    @rule()
    def the_operator_restarts(self) -> None:
        """It forgets everything; answers of the one before may still arrive."""
        self.operator = Operator(began_at_s=self.now_s)

    @invariant()
    def together_they_are_within_the_limit(self) -> None:
        """Floors for all there may be, and what is applied."""
        applied = [each.held.per_s for each in (*self.consumers.values(), *self.dead.values()) if each.held is not None]
        assert sum(applied) + MOST * self.limit.floor_per_s <= self.limit.per_s * (1 + 1e-9)

    def teardown(self) -> None:
        """Left alone, they use all of it within a lease and two rounds, and whoever has work has a share."""
        if not self.consumers:
            return
        self.dead.clear()
        for each in self.consumers.values():
            each.wanted_per_s, each.asked_at_s, each.reply = 1000.0, None, None
        for _ in range(round(LEASE_S / 10) + 4):
            for at in range(len(self.consumers)):
                self.a_report_is_sent(at, "answered")
                self.together_they_are_within_the_limit()
            self.time_passes(10.0)
        shares = [each.held.per_s if each.held else 0.0 for each in self.consumers.values()]
        assert abs(sum(shares) - self.limit.shared_per_s) < 1e-6
        assert max(shares) - min(shares) < 1e-6


TestGrants = Machine.TestCase
TestGrants.settings = settings(max_examples=400, stateful_step_count=50, deadline=None)
