"""What a pool's tenants want, in audio-seconds: how fast it arrives, how much of it waits, what a limit lets through.

A backlog alone would be proportional control: at steady load every call would wait the whole drain target. So the
arrival rate is the base, and what waits comes on top of it, spread over the drain target.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

_AT_LEAST_S = 60.0
"""A rate of which less is known counts as if so much were, without arrivals before."""
_FORGOTTEN = 5
"""Time constants without an arrival after which a rate is zero: what is left of it, 0.7 %, would keep a replica."""


@dataclasses.dataclass(frozen=True, slots=True)
class Later:
    """Work that is due later than the pool promises, as on a bulk lane: so much waits, to be gone in so many seconds.

    They get fewer as the oldest of it grows older: a target that stood still would leave an eighth of a backlog behind
    after two of them.
    """

    audio_s: float
    drain_target_s: float

    def within(self, horizon_s: float) -> float:
        """Return the audio-seconds of it that are to be worked on in so many seconds."""
        return self.audio_s * min(1.0, horizon_s / self.drain_target_s)


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """One reading of a tenant. `arrived_audio_s` only ever grows, while nothing restarts; None is unknown.

    Both are of what is due as the pool promises. What may take longer stands in `later`, and counts by what waits
    alone: how fast it comes says nothing of how fast it must go, and that it waits is what it is there for.
    """

    arrived_audio_s: float | None
    waiting_audio_s: float | None
    limit_per_s: float | None = None
    """Audio-seconds a second that its limit lets through; None: no limit."""
    later: tuple[Later, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """A tenant's arrivals: the last total, when it was read and when it last grew; and their moving average, begun at
    nothing, and over how many seconds it was taken.
    """

    total_audio_s: float
    read_at_s: float
    grew_at_s: float
    average_per_s: float = 0.0
    known_s: float = 0.0

    def per_s(self, time_constant_s: float) -> float:
        """Return audio-seconds a second: the average, made up for the time before it began, but for a minute at least.

        One interval says little: 100 calls of 300 s that come within the first look of a second are no 30,000 a second
        (280 replicas of 120), but with a time constant of 180 s at most 590.
        """
        return self.average_per_s / (1 - math.exp(-max(_AT_LEAST_S, self.known_s) / time_constant_s))


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """What one tenant adds to demand."""

    rate_per_s: float
    waiting_audio_s: float
    limit_per_s: float
    later: tuple[Later, ...] = ()

    def within(self, horizon_s: float, rate_share: float) -> float:
        """Return the audio-seconds of it that are to be worked on in so many seconds."""
        due = rate_share * self.rate_per_s * horizon_s + self.waiting_audio_s
        for each in self.later:
            due += each.within(horizon_s)
        return min(self.limit_per_s * horizon_s, due)


@dataclasses.dataclass(frozen=True, slots=True)
class Demand:
    """What all tenants want. `is_whole` is False when something could not be read: the truth is this much or more."""

    shares: tuple[Share, ...]
    is_whole: bool = True

    @property
    def rate_per_s(self) -> float:
        """Audio-seconds that arrive a second and that limits let through."""
        return sum(min(each.limit_per_s, each.rate_per_s) for each in self.shares)

    @property
    def waiting_audio_s(self) -> float:
        """Everything that waits, whether a limit lets it through or not."""
        return sum(each.waiting_audio_s + sum(one.audio_s for one in each.later) for each in self.shares)

    def within(self, horizon_s: float, rate_share: float = 1.0) -> float:
        """Return the audio-seconds to be worked on in so many seconds: what waits, and a share of what arrives.

        A throttled tenant counts with its limit, so that its backlog buys nothing.
        """
        return sum(each.within(horizon_s, rate_share) for each in self.shares)

    def drain_s(self, per_s: float, rate_share: float = 1.0) -> float | None:
        """Return in how many seconds what is due as the pool promises is gone, if so much is done a second; None where
        that is not known, infinity for never.

        It is the shortest time in which so much can be done of all that limits let through in it: what waits for its
        tenant's own limit, or may take longer, is nothing that replicas are late with.
        """
        if not self.is_whole:
            return None
        if not any(each.waiting_audio_s > 0 for each in self.shares):
            return 0.0
        spare, waiting = per_s, 0.0
        rooms = []  # what waits of a tenant, and how much a second its limit leaves for that beside what arrives
        for each in self.shares:
            arriving = rate_share * each.rate_per_s
            spare -= min(each.limit_per_s, arriving)
            if math.isinf(each.limit_per_s):
                waiting += each.waiting_audio_s
            elif each.waiting_audio_s > 0 and each.limit_per_s > arriving:
                rooms.append((each.waiting_audio_s, each.limit_per_s - arriving))
        # A limit is what holds its tenant for the first waiting / room seconds, and nothing after that.
        rooms.sort(key=lambda one: one[0] / one[1])
        held = sum(room for _, room in rooms)
        for audio_s, room in rooms:
            if waiting <= (spare - held) * audio_s / room:
                break
            waiting, held = waiting + audio_s, held - room
        if waiting == 0:
            return 0.0 if spare >= held else math.inf
        return waiting / (spare - held) if spare > held else math.inf


def read(
    loads: Mapping[str, Load], rates: Mapping[str, Rate], *, now_s: float, time_constant_s: float, is_whole: bool = True
) -> tuple[Demand, dict[str, Rate]]:
    """Return what is wanted now, and the rates to hand in again next time. `is_whole`: whether these are all loads.

    A total that fell (its counter was restarted) or was not read says nothing of the rate, which stays as it was.
    """
    shares, kept = [], {}
    for name, load in loads.items():
        rate = _next_rate(rates.get(name), load.arrived_audio_s, now_s, time_constant_s)
        if rate is not None:
            kept[name] = rate
        waiting = load.waiting_audio_s
        if load.arrived_audio_s is None or waiting is None or waiting < 0:
            is_whole = False
        limit = math.inf if load.limit_per_s is None else load.limit_per_s
        per_s = 0.0 if rate is None else rate.per_s(time_constant_s)
        shares.append(Share(per_s, max(0.0, waiting or 0.0), limit, load.later))
    for name in rates.keys() - loads.keys():
        if now_s - rates[name].read_at_s < _FORGOTTEN * time_constant_s:
            kept[name] = rates[name]
    return Demand(tuple(shares), is_whole), kept


def _next_rate(before: Rate | None, total: float | None, now_s: float, time_constant_s: float) -> Rate | None:
    if total is None:
        return before
    if before is None:
        return Rate(total, now_s, now_s)
    if total < before.total_audio_s:
        return dataclasses.replace(before, total_audio_s=total, read_at_s=now_s)
    passed_s = now_s - before.read_at_s
    if passed_s <= 0:
        return before
    seen = (total - before.total_audio_s) / passed_s
    grew_at_s = now_s if seen > 0 else before.grew_at_s
    if now_s - grew_at_s >= _FORGOTTEN * time_constant_s:
        return dataclasses.replace(before, total_audio_s=total, read_at_s=now_s, average_per_s=0.0)
    weight = 1 - math.exp(-passed_s / time_constant_s)
    average_per_s = before.average_per_s + weight * (seen - before.average_per_s)
    return Rate(total, now_s, grew_at_s, average_per_s, before.known_s + passed_s)
