"""What all consumers of a pool have told, put together: who waits for how much, and what was served since.

What has arrived is what was served and what is still there: so a recording that moves from one consumer to another, or
back to Kafka and to another again, arrives once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from aftercall.contracts import reports
from aftercall.operator import demand, unread


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    """A consumer's last report, and when it came (monotonic seconds)."""

    report: reports.ConsumerReport
    at_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of a pool's consumers. `served` is by tenant, since this operator began."""

    heard: Mapping[str, Heard] = dataclasses.field(default_factory=dict)
    served: Mapping[str, float] = dataclasses.field(default_factory=dict)


def hear(known: Ledger, report: reports.ConsumerReport, *, now_s: float) -> Ledger:
    """Return what is known after a report. A process that has begun anew counts from zero."""
    before = known.heard.get(report.consumer)
    counted: dict[str, float] = {}
    if before is not None and before.report.instance == report.instance:
        counted = {each.tenant: each.served_audio_s for each in before.report.tenants}
    served = dict(known.served)
    if before is not None:  # what an unknown consumer has served was served before this operator began
        for each in report.tenants:
            more = each.served_audio_s - counted.get(each.tenant, 0.0)
            served[each.tenant] = served.get(each.tenant, 0.0) + max(0.0, more)
    return Ledger({**known.heard, report.consumer: Heard(report, now_s)}, served)


def forget(known: Ledger, consumer: str) -> Ledger:
    """Return what is known once a consumer is confirmed to be gone: what it had waits in Kafka again.

    A tenant that nobody else tells of is forgotten; should it come again, its total begins anew.
    """
    heard = {name: each for name, each in known.heard.items() if name != consumer}
    told = {load.tenant for each in heard.values() for load in each.report.tenants}
    return Ledger(heard, {tenant: audio_s for tenant, audio_s in known.served.items() if tenant in told})


def loads(
    known: Ledger,
    beyond: unread.Unread,
    limits: Mapping[str, float],
    *,
    audio_per_message_s: float,
    now_s: float,
    stale_s: float,
) -> tuple[dict[str, demand.Load], bool]:
    """Return every tenant's load, what consumers have and its part of what nobody has read; and whether that is all.

    Unread messages count by the recent mix of tenants and lengths that consumers tell of; where none does, as one
    tenant without a name and without a limit, with `audio_per_message_s` each. A consumer that has fallen silent makes
    what it had a lower bound: it may have finished it, or more may have come.
    """
    waiting: dict[str, float] = {}
    there: dict[str, float] = {}
    n_waiting: dict[str, int] = {}
    is_whole = beyond.is_whole
    for each in known.heard.values():
        is_whole = is_whole and now_s - each.at_s < stale_s
        for load in each.report.tenants:
            waiting[load.tenant] = waiting.get(load.tenant, 0.0) + load.waiting_audio_s
            there[load.tenant] = there.get(load.tenant, 0.0) + load.waiting_audio_s + load.running_audio_s
            n_waiting[load.tenant] = n_waiting.get(load.tenant, 0) + load.waiting
    for tenant, audio_s in _spread(beyond.messages, waiting, n_waiting, audio_per_message_s).items():
        waiting[tenant] = waiting.get(tenant, 0.0) + audio_s
        there[tenant] = there.get(tenant, 0.0) + audio_s
    found = {
        tenant: demand.Load(known.served.get(tenant, 0.0) + there[tenant], waiting[tenant], limits.get(tenant))
        for tenant in there
    }
    return found, is_whole


def _spread(
    messages: int, waiting: Mapping[str, float], n_waiting: Mapping[str, int], audio_per_message_s: float
) -> dict[str, float]:
    """Return the audio-seconds of unread messages by tenant."""
    total = sum(n_waiting.values())
    if not messages:
        return {}
    if not total:
        return {"": messages * audio_per_message_s}
    return {tenant: messages / total * waiting[tenant] for tenant, n in n_waiting.items() if n}
