"""Traffic: calls with their time, tenant and length, made up by a seed or read from a file of one's own calls."""

from __future__ import annotations

import csv
import dataclasses
import enum
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from aftercall.contracts import errors


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A recording that is announced: `audio_s` is of all its channels together."""

    at_s: float
    tenant: str
    audio_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Tenant:
    """What a tenant may use, its limit in audio-seconds a second (None: no limit), and when its calls are due."""

    limit_per_s: float | None = None
    weight: float = 1.0
    promise_s: float | None = None
    """None: what the pool promises."""


@dataclasses.dataclass(frozen=True, slots=True)
class Trace:
    """Calls in order of time, and who they are of."""

    name: str
    calls: tuple[Call, ...]
    tenants: dict[str, Tenant]
    duration_s: float

    @property
    def audio_s(self) -> float:
        """Everything there is to do."""
        return sum(call.audio_s for call in self.calls)

    def through_s(self) -> list[float]:
        """Return when its tenant's limit, if there is one, has let each call through as a whole."""
        last: dict[str, float] = {}
        found = []
        for call in self.calls:
            limit = self.tenants[call.tenant].limit_per_s
            pace_s = 0.0 if limit is None else call.audio_s / limit
            last[call.tenant] = max(call.at_s, last.get(call.tenant, 0.0)) + pace_s
            found.append(last[call.tenant])
        return found


class Kind(enum.StrEnum):
    """Shapes of traffic."""

    DIURNAL = "diurnal"
    MONDAY = "monday"
    BACKFILL = "backfill"
    FLOOD = "flood"
    RETRY_STORM = "retry-storm"


MEDIAN_AUDIO_S = 240.0
"""Two channels of two minutes; lengths are lognormal, as those of calls are."""
_SIGMA = 0.9
_MEAN_AUDIO_S = MEDIAN_AUDIO_S * math.exp(_SIGMA**2 / 2)
_SHARES = {"acme": 4.0, "brightline": 2.0, "corvo": 1.0, "delphine": 1.0}


def synthetic(kind: Kind, rng: np.random.Generator, *, peak_per_s: float, hours: float = 6.0) -> Trace:
    """Return traffic of a kind: about `peak_per_s` audio-seconds a second where it is busiest, over some hours."""
    duration_s = hours * 3600
    shape, more, tenants = _SHAPES[kind](rng, duration_s, peak_per_s)
    calls = [*_arrivals(rng, duration_s, peak_per_s, shape), *more]
    return Trace(str(kind), tuple(sorted(calls, key=lambda call: call.at_s)), tenants, duration_s)


_COLUMNS = ("at_s", "tenant", "audio_s")
_LONGEST_S = 31 * 86_400.0
_LONGEST_CALL_S = 7 * 86_400.0


def read_csv(lines: Iterable[str], *, name: str) -> Trace:
    """Return the calls of a file with the columns `at_s`, `tenant` and `audio_s`, in any order; tenants have no limits.

    Raises `errors.ConfigurationError` that names the line.
    """
    rows = csv.DictReader(lines, skipinitialspace=True)
    heads = rows.fieldnames or ()
    missing = [each for each in _COLUMNS if each not in heads]
    if missing:
        raise errors.ConfigurationError(
            f"{name}: no column {', '.join(missing)}; its first line is {','.join(heads)!r}"
        )
    try:
        calls = [_call(row, f"{name}, line {rows.line_num}") for row in rows]
    except csv.Error as exc:
        raise errors.ConfigurationError(f"{name}, line {rows.line_num}: {exc}") from exc
    if not calls:
        raise errors.ConfigurationError(f"{name}: holds no calls")
    calls.sort(key=lambda call: call.at_s)
    first_s, duration_s = calls[0].at_s, calls[-1].at_s - calls[0].at_s
    if duration_s > _LONGEST_S:
        raise errors.ConfigurationError(
            f"{name}: {duration_s / 86_400:.0f} days from the first call to the last; at_s is in seconds, and at most"
            f" {_LONGEST_S / 86_400:.0f} days are played"
        )
    calls = [dataclasses.replace(call, at_s=call.at_s - first_s) for call in calls]
    return Trace(name, tuple(calls), {call.tenant: Tenant() for call in calls}, duration_s)


def _call(row: Mapping[str | None, Any], where: str) -> Call:
    if None in row:
        raise errors.ConfigurationError(f"{where}: more values than columns; decimals are written with a point")
    absent = [each for each in _COLUMNS if not (row[each] or "").strip()]
    if absent:
        raise errors.ConfigurationError(f"{where}: no {absent[0]}")
    numbers = []
    for column in ("at_s", "audio_s"):
        try:
            numbers.append(float(row[column]))
        except ValueError as exc:
            raise errors.ConfigurationError(f"{where}: {column} is seconds, not {row[column]!r}") from exc
    at_s, audio_s = numbers
    if not (math.isfinite(at_s) and 0 < audio_s <= _LONGEST_CALL_S):
        raise errors.ConfigurationError(
            f"{where}: at_s is a time, and audio_s over 0 and at most {_LONGEST_CALL_S:.0f};"
            f" here they are {at_s:g} and {audio_s:g}"
        )
    return Call(at_s, row["tenant"].strip(), audio_s)


_Shape = Callable[[float], float]
_Shaped = tuple[_Shape, list[Call], dict[str, Tenant]]


def _calls(rng: np.random.Generator, times: Iterable[float], shares: dict[str, float]) -> list[Call]:
    """Return a call at each of these times, of tenants by their shares."""
    at_s = [float(each) for each in times]
    lengths = np.clip(rng.lognormal(math.log(MEDIAN_AUDIO_S), _SIGMA, len(at_s)), 5.0, 4 * 3600.0)
    weights = np.array(list(shares.values()))
    names = rng.choice(list(shares), len(at_s), p=weights / weights.sum())
    return [Call(when, str(name), float(length)) for when, name, length in zip(at_s, names, lengths, strict=True)]


def _arrivals(rng: np.random.Generator, duration_s: float, peak_per_s: float, shape: _Shape) -> list[Call]:
    """Draw calls by thinning: as often as at the peak, and kept as often as the shape says (0 to 1)."""
    times = rng.uniform(0, duration_s, rng.poisson(peak_per_s / _MEAN_AUDIO_S * duration_s))
    kept = [each for each in times if rng.random() < shape(float(each))]
    return _calls(rng, kept, _SHARES)


def _open(names: Iterable[str]) -> dict[str, Tenant]:
    return {name: Tenant(weight=_SHARES.get(name, 1.0)) for name in names}


def _diurnal(rng: np.random.Generator, duration_s: float, _: float) -> _Shaped:
    """A day, pressed into the duration: quiet at night, two humps, and slow swings of its own."""
    phase = rng.uniform(-0.05, 0.05)

    def shape(at_s: float) -> float:
        day = at_s / duration_s + phase
        humps = math.exp(-(((day - 0.4) / 0.1) ** 2)) + 0.8 * math.exp(-(((day - 0.65) / 0.12) ** 2))
        return min(1.0, 0.05 + 0.85 * humps)

    return shape, [], _open(_SHARES)


def _monday(rng: np.random.Generator, duration_s: float, _: float) -> _Shaped:
    """Nearly nothing, and within ten minutes all of it."""
    nine_s = duration_s * rng.uniform(0.15, 0.25)

    def shape(at_s: float) -> float:
        risen = min(1.0, max(0.0, (at_s - nine_s) / 600))
        fallen = 1 - 0.7 * min(1.0, max(0.0, (at_s - nine_s) / (duration_s - nine_s)))
        return 0.03 + 0.97 * risen * fallen

    return shape, [], _open(_SHARES)


def _backfill(rng: np.random.Generator, duration_s: float, peak_per_s: float) -> _Shaped:
    """A steady third, and a month of one tenant's recordings put in within five minutes, due in four hours."""
    start_s = duration_s * rng.uniform(0.2, 0.4)
    many = round(peak_per_s * 3600 / _MEAN_AUDIO_S)
    more = _calls(rng, rng.uniform(start_s, start_s + 300, many), {"evergreen": 1.0})
    return lambda _: 0.3, more, _open(_SHARES) | {"evergreen": Tenant(promise_s=4 * 3600.0)}


def _flood(rng: np.random.Generator, duration_s: float, peak_per_s: float) -> _Shaped:
    """A steady third, and one tenant with a limit that sends twenty times its limit for an hour."""
    start_s = duration_s * rng.uniform(0.2, 0.4)
    limit_per_s = 0.1 * peak_per_s
    many = round(20 * limit_per_s * 3600 / _MEAN_AUDIO_S)
    more = _calls(rng, rng.uniform(start_s, start_s + 3600, many), {"floodgate": 1.0})
    return lambda _: 0.3, more, _open(_SHARES) | {"floodgate": Tenant(limit_per_s=limit_per_s)}


def _retry_storm(rng: np.random.Generator, duration_s: float, peak_per_s: float) -> _Shaped:
    """Half the peak; upstream is away for a quarter of an hour three times, and sends all of it within two minutes."""
    more, outages = [], []
    for part in (0.2, 0.5, 0.75):
        start_s = duration_s * (part + rng.uniform(-0.03, 0.03))
        outages.append((start_s, start_s + 900))
        many = round(0.5 * peak_per_s * 900 / _MEAN_AUDIO_S)
        more += _calls(rng, rng.uniform(start_s + 900, start_s + 1020, many), _SHARES)

    def shape(at_s: float) -> float:
        return 0.0 if any(start <= at_s < end for start, end in outages) else 0.5

    return shape, more, _open(_SHARES)


_SHAPES = {
    Kind.DIURNAL: _diurnal,
    Kind.MONDAY: _monday,
    Kind.BACKFILL: _backfill,
    Kind.FLOOD: _flood,
    Kind.RETRY_STORM: _retry_storm,
}
