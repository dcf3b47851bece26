"""The world of a simulation: replicas that come late and go at once, and calls that are worked on in fair order.

Work flows: windows of a call are worked on by many replicas at once, so that what a second of a fleet can do is shared
between the tenants by weight, and within a tenant goes to its oldest call. All policies have the same consumers.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable

from aftercall.operator.simulator import traces


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """What a policy cannot change. `capacity_per_s` is a replica's, in audio-seconds a second."""

    capacity_per_s: float
    cold_start_s: float
    promise_s: float = 600.0
    max_replicas: int = 20
    tick_s: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """What can be seen at a time, by whoever looks at audio-seconds, at messages or at requests."""

    now_s: float
    asked: int
    ready: int
    waiting_calls: int
    waiting_audio_s: dict[str, float]
    oldest_waiting_s: dict[str, float]
    """Of tenants that have a call which waits or is worked on: how long ago the oldest came."""
    arrived_audio_s: dict[str, float]
    limits_per_s: dict[str, float | None]
    promises_s: dict[str, float | None]
    """Of tenants whose calls are due later than the pool promises."""
    done_audio_s: float
    """What all replicas did since the last look, in `busy_s` replica-seconds."""
    busy_s: float
    is_saturated: bool
    """Whether work waited for a replica throughout."""
    later_calls: int = 0
    """Of the calls that wait, those due later than the pool promises: they come on a topic of their own."""


Policy = Callable[[View], int]
"""A policy looks and returns the replicas that are to be asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Finished:
    """A call that is done: how long it took, and whether that was later than promised."""

    tenant: str
    waited_s: float
    is_late: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What came of a trace under a policy."""

    finished: tuple[Finished, ...]
    gpu_s: float
    changes: int
    replicas: tuple[tuple[float, int, int], ...]
    """Time, replicas asked for and replicas ready, wherever one of them changed."""


@dataclasses.dataclass(slots=True)
class _Line:
    """A tenant's calls, oldest first, with what is left of each."""

    tenant: traces.Tenant
    calls: collections.deque[tuple[traces.Call, float]]
    left: float = 0.0
    """Of the oldest."""
    waiting_audio_s: float = 0.0
    arrived_audio_s: float = 0.0
    allowed_audio_s: float = 0.0


def run(trace: traces.Trace, policy: Policy, world: World, *, interval_s: float, early_s: float = 0.0) -> Run:
    """Play a trace until all of it is done; `policy` looks every `interval_s`, from `early_s` before the trace on."""
    lines = {name: _Line(tenant, collections.deque()) for name, tenant in trace.tenants.items()}
    dues = _due(trace, world.promise_s)
    finished: list[Finished] = []
    coming: collections.deque[float] = collections.deque()
    ready, gpu_s, changes, at = 0, 0.0, 0, 0
    done, busy_s, is_saturated = 0.0, 0.0, True
    history: list[tuple[float, int, int]] = []
    tick_s, looked_s = world.tick_s, -math.inf
    now_s = -math.ceil(early_s / tick_s) * tick_s
    waiting_calls = 0
    while at < len(trace.calls) or waiting_calls or now_s < trace.duration_s:
        while coming and coming[0] <= now_s:
            coming.popleft()
            ready += 1
        while at < len(trace.calls) and trace.calls[at].at_s <= now_s:
            call = trace.calls[at]
            line = lines[call.tenant]
            if not line.calls:
                line.left = call.audio_s
            line.calls.append((call, dues[at]))
            line.waiting_audio_s += call.audio_s
            line.arrived_audio_s += call.audio_s
            waiting_calls += 1
            at += 1
        if now_s - looked_s >= interval_s:
            looked_s = now_s
            asked = ready + len(coming)
            seen = _Seen(ready, len(coming), waiting_calls, done, busy_s, is_saturated and busy_s > 0)
            wanted = policy(_view(now_s, seen, lines))
            wanted = max(0, min(world.max_replicas, wanted))
            done, busy_s, is_saturated = 0.0, 0.0, True
            changes += wanted != asked
            for _ in range(wanted - asked):
                coming.append(now_s + world.cold_start_s)
            for _ in range(asked - wanted):  # the youngest go first: they have done nothing yet
                if coming:
                    coming.pop()
                else:
                    ready -= 1
        if not history or history[-1][1:] != (ready + len(coming), ready):
            history.append((now_s, ready + len(coming), ready))
        room = ready * world.capacity_per_s * tick_s
        used = _work(lines, room, now_s + tick_s, tick_s, finished)
        waiting_calls = at - len(finished)
        done, busy_s = done + used, busy_s + used / world.capacity_per_s
        is_saturated = is_saturated and used >= room * 0.999
        gpu_s += (ready + len(coming)) * tick_s
        now_s += tick_s
    return Run(tuple(finished), gpu_s, changes, tuple(history))


def _due(trace: traces.Trace, promise_s: float) -> list[float]:
    """Return when each call is due. What its tenant's own limit makes late is promised nothing."""
    dues = []
    for call, through_s in zip(trace.calls, trace.through_s(), strict=True):
        tenant = trace.tenants[call.tenant]
        due_s = call.at_s + (promise_s if tenant.promise_s is None else tenant.promise_s)
        dues.append(math.inf if through_s > due_s else due_s)
    return dues


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """What a look has counted."""

    ready: int
    coming: int
    waiting_calls: int
    done_audio_s: float
    busy_s: float
    is_saturated: bool


def _view(now_s: float, seen: _Seen, lines: dict[str, _Line]) -> View:
    return View(
        now_s=now_s,
        asked=seen.ready + seen.coming,
        ready=seen.ready,
        waiting_calls=seen.waiting_calls,
        done_audio_s=seen.done_audio_s,
        busy_s=seen.busy_s,
        is_saturated=seen.is_saturated,
        waiting_audio_s={name: line.waiting_audio_s for name, line in lines.items()},
        oldest_waiting_s={name: now_s - line.calls[0][0].at_s for name, line in lines.items() if line.calls},
        arrived_audio_s={name: line.arrived_audio_s for name, line in lines.items()},
        limits_per_s={name: line.tenant.limit_per_s for name, line in lines.items()},
        promises_s={name: line.tenant.promise_s for name, line in lines.items()},
        later_calls=sum(len(line.calls) for line in lines.values() if line.tenant.promise_s is not None),
    )


def _work(lines: dict[str, _Line], room: float, until_s: float, tick_s: float, finished: list[Finished]) -> float:
    """Share a tick between the tenants that have work, by weight, none beyond its limit; return what was used."""
    wants: list[tuple[float, float, _Line]] = []
    for line in lines.values():
        wanted = line.waiting_audio_s
        limit = line.tenant.limit_per_s
        if limit is not None:
            line.allowed_audio_s = min(limit * tick_s + 60.0, line.allowed_audio_s + limit * tick_s)
            wanted = min(wanted, line.allowed_audio_s)
        if wanted > 1e-9:
            wants.append((wanted / line.tenant.weight, wanted, line))
    if room <= 0 or not wants:
        return 0.0
    used, weight = 0.0, sum(line.tenant.weight for _, _, line in wants)
    for _, wanted, line in sorted(wants, key=lambda each: each[0]):  # least first: what it leaves goes to the others
        given = min(wanted, (room - used) * line.tenant.weight / weight)
        weight -= line.tenant.weight
        used += given
        if line.tenant.limit_per_s is not None:
            line.allowed_audio_s -= given
        _give(line, given, until_s, finished)
    return used


def _give(line: _Line, given: float, until_s: float, finished: list[Finished]) -> None:
    line.waiting_audio_s = max(0.0, line.waiting_audio_s - given)
    while line.calls and given >= line.left - 1e-6:
        given -= line.left
        call, due_s = line.calls.popleft()
        finished.append(Finished(call.tenant, until_s - call.at_s, until_s > due_s))
        line.left = line.calls[0][0].audio_s if line.calls else 0.0
    line.left -= given
    if not line.calls:
        line.waiting_audio_s = 0.0
