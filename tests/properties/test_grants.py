"""Shares of a limit, whatever is lost, late, restarted or gone: together they are never more than the limit.

Where the limit itself changes, never more than the largest that was in force within the last lease; so one lease after
it was lowered, no more than the new one.
"""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from sharing import LIMIT, MOST, SELDOM, Sharing

from aftercall.operator import grants, handover

OTHERS = (
    grants.Limit(40.0, MOST, 6000.0),
    grants.Limit(20.0, MOST, 12000.0),
    grants.Limit(10.0, MOST, 24000.0),
    grants.Limit(5.0, MOST, 6000.0),
)


class FaultyMachine(Sharing):
    """Answers are lost and late, consumers restart, fall silent and drain, operators hand over."""

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

    @rule(is_renewing=st.sampled_from([True, True, False]))
    def the_api_server_goes_and_comes(self, is_renewing: bool) -> None:
        """Without it the Lease is not renewed."""
        self.is_renewing = is_renewing

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


class ChangingMachine(FaultyMachine):
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


TestGrants = FaultyMachine.TestCase
TestGrants.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestChangingLimits = ChangingMachine.TestCase
TestChangingLimits.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
