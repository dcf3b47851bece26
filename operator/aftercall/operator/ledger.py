"""What all consumers of a pool have told, put together: who waits for how much, and what was served since.

What has arrived is what was served and what is still there: so a recording that moves from one consumer to another, or
back to Kafka and to another again, arrives once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from aftercall.contracts import reports
from aftercall.operator import demand, unread

_LEFT = 0.5

Line = tuple[str, reports.Lane]
"""A tenant's work on one lane. One tenant without a name stands for those of whom nobody has told."""


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """When the work of a pool is due, and what its tenants may use."""

    limits_per_s: Mapping[str, float]
    drain_target_s: float
    """Of what is due as the pool promises."""
    later_s: Mapping[reports.Lane, float] = dataclasses.field(default_factory=dict)
    """Seconds in which the work of a lane is due, where that is later than the pool promises."""
    share: float = 0.25
    """Of the seconds that are left of such a promise: what waits is spread over so many."""
    audio_per_message_s: float = 300.0
    """Of a message of which nothing is known."""


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """Which part of what a consumer told last is still its own, done or not, and which part is left to be done."""

    own: float = 1.0
    left: float = 1.0


WHOLE = Share()
DONE = Share(1.0, 0.0)
"""All of it is its own, and done: what it told stays in what has arrived."""


@dataclasses.dataclass(slots=True)
class _Found:
    """What there is of a line: the mix of what waits by what consumers tell, what there is, done or not, and what is
    left; the oldest's age.
    """

    waiting_audio_s: float = 0.0
    waiting: int = 0
    there_audio_s: float = 0.0
    left_audio_s: float = 0.0
    oldest_s: float = 0.0


_NOTHING = _Found()


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    """A consumer's last report, and when it came (monotonic seconds); and what it had served when it last said so."""

    report: reports.ConsumerReport
    at_s: float
    counted: Mapping[Line, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of a pool's consumers. `served` is by tenant and lane, since this operator began."""

    heard: Mapping[str, Heard] = dataclasses.field(default_factory=dict)
    served: Mapping[Line, float] = dataclasses.field(default_factory=dict)


def hear(known: Ledger, report: reports.ConsumerReport, *, now_s: float) -> Ledger:
    """Return what is known after a report. A process that has begun anew counts from zero."""
    before = known.heard.get(report.consumer)
    # A tenant that has nothing may be left out of a report: what it was served is not served again when it is back.
    counted = dict(before.counted) if before is not None and before.report.instance == report.instance else {}
    served = dict(known.served)
    for each in report.tenants:
        line, audio_s = (each.tenant, each.lane), each.served_audio_s
        if before is not None:  # what an unknown consumer has served was served before this operator began
            served[line] = served.get(line, 0.0) + max(0.0, audio_s - counted.get(line, 0.0))
        counted[line] = audio_s
    return Ledger({**known.heard, report.consumer: Heard(report, now_s, counted)}, served)


def forget(known: Ledger, consumer: str) -> Ledger:
    """Return what is known once a consumer is confirmed to be gone: what it had waits in Kafka again.

    A tenant that nobody else tells of is forgotten; should it come again, its total begins anew.
    """
    heard = {name: each for name, each in known.heard.items() if name != consumer}
    told = {load.tenant for each in heard.values() for load in each.report.tenants}
    return Ledger(heard, {line: audio_s for line, audio_s in known.served.items() if line[0] in told})


def loads(
    known: Ledger, beyond: Mapping[reports.Lane | None, unread.Unread], terms: Terms, shares: Mapping[str, Share]
) -> dict[str, demand.Load]:
    """Return every tenant's load: what consumers have, and its part of what nobody has read.

    Unread messages of a lane count by the recent mix of tenants and lengths that consumers tell of it; where none does,
    as one tenant without a name and without a limit. What was put aside, `beyond[None]`, has no lane that the operator
    could know: it counts by the mix of everything that waits. A tenant that is put aside has filled its share and waits
    the most, so that its limit holds for that too; and where nothing waits, what is put aside counts as live, rather
    too urgent than late.

    Of what a consumer told counts what `shares` says, or all: what it had may be another's by now, or done. Who waits
    and for how long it speaks is the mix all the same, and what it has done arrived: it tells so when it speaks again.
    """
    found: dict[Line, _Found] = {}
    for name, each in known.heard.items():
        share = shares.get(name, WHOLE)
        own, left = share.own, share.left
        for load in each.report.tenants:
            line = load.tenant, load.lane
            one = found.get(line)
            if one is None:
                one = found[line] = _Found()
            waiting_audio_s, running_audio_s = load.waiting_audio_s, load.running_audio_s
            one.waiting_audio_s += waiting_audio_s
            one.waiting += load.waiting
            one.there_audio_s += own * (waiting_audio_s + running_audio_s)
            # Of what is worked on half is left, on average, and never nothing.
            one.left_audio_s += left * (waiting_audio_s + _LEFT * running_audio_s)
            if load.oldest_waiting_s is not None and load.oldest_waiting_s > one.oldest_s:
                one.oldest_s = load.oldest_waiting_s
    spread = [_spread(lane, each.messages, found, terms.audio_per_message_s) for lane, each in beyond.items()]
    for more in spread:
        for line, audio_s in more.items():
            one = found.setdefault(line, _Found())
            one.there_audio_s += audio_s
            one.left_audio_s += audio_s
    tenants = dict.fromkeys(tenant for tenant, _ in found)
    return {tenant: _load(tenant, known, found, terms) for tenant in tenants}


def _spread(
    lane: reports.Lane | None, messages: int, found: Mapping[Line, _Found], audio_per_message_s: float
) -> dict[Line, float]:
    """Return the audio-seconds of unread messages by tenant and lane."""
    if not messages:
        return {}
    mix = {line: one for line, one in found.items() if one.waiting and lane in {None, line[1]}}
    total = sum(one.waiting for one in mix.values())
    if not total:
        return {("", lane or "live"): messages * audio_per_message_s}
    return {line: messages / total * one.waiting_audio_s for line, one in mix.items()}


def _load(tenant: str, known: Ledger, found: Mapping[Line, _Found], terms: Terms) -> demand.Load:
    arrived = waiting = 0.0
    later = []
    for lane in reports.LANES:
        one = found.get((tenant, lane), _NOTHING)
        if lane not in terms.later_s:
            # What was served stays in it where nothing is left: a total must not fall and rise again.
            arrived += known.served.get((tenant, lane), 0.0) + one.there_audio_s
            waiting += one.left_audio_s
        elif one.left_audio_s:
            left_s = terms.later_s[lane] - one.oldest_s
            later.append(demand.Later(one.left_audio_s, max(terms.drain_target_s, terms.share * left_s)))
    return demand.Load(arrived, waiting, terms.limits_per_s.get(tenant), tuple(later))
