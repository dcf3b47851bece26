"""What a report tells of tenants, in arrays that have a place for every tenant that is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aftercall.contracts import reports
from aftercall.operator import elsewhere, grants

_HORIZON_S = 60.0
"""Within how long a consumer whose limit holds it back could use what waits."""
_ROOM_TO_GROW = 1.25


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """Audio-seconds of each tenant, what of its limit is held, and whether that holds it back, whatever the lane.

    `at` are the places of `tenants`, which are those that are told of; of others all is 0.
    """

    tenants: tuple[str, ...]
    at: npt.NDArray[np.intp]
    begun_audio_s: elsewhere.Amounts
    waiting_audio_s: npt.NDArray[np.float64]
    running_audio_s: npt.NDArray[np.float64]
    held_per_s: grants.Rates
    held_burst_audio_s: npt.NDArray[np.float64]
    is_throttled: npt.NDArray[np.bool_]

    @property
    def is_told(self) -> npt.NDArray[np.bool_]:
        """Say which tenants are told of."""
        found = np.zeros(len(self.held_per_s), bool)
        found[self.at] = True
        return found

    def wanted_per_s(self, begun_per_s: grants.Rates) -> grants.Rates:
        """Return what the consumer could use of tenants' limits; NaN of those that are not told of.

        One that the limit does not hold back has what it uses, and some room: however much waits there, more of the
        limit would lie idle. Where it holds back, what waits is to begin within a minute. One that has nothing any
        more, as when its partitions have gone to others, has no use for what it used before.
        """
        used_per_s = np.where(self.waiting_audio_s + self.running_audio_s > 0, begun_per_s, 0.0)
        wanted = used_per_s * _ROOM_TO_GROW + np.where(self.is_throttled, self.waiting_audio_s, 0.0) / _HORIZON_S
        return np.where(self.is_told, wanted, np.nan)


def read(loads: Sequence[reports.TenantLoad], places: dict[str, int]) -> Told:
    """Return what is told; tenants that are new have their places from now on, behind all others."""
    tenants = tuple(dict.fromkeys(load.tenant for load in loads))  # each is told of once a lane
    at = np.array([places.setdefault(tenant, len(places)) for tenant in tenants], dtype=np.intp)
    rows = np.array([places[load.tenant] for load in loads], dtype=np.intp)
    lanes = np.array([reports.LANES.index(load.lane) for load in loads], dtype=np.intp)
    begun = np.zeros((elsewhere.LANES, len(places)))
    waiting, running, held_per_s, held_burst = (np.zeros(len(places)) for _ in range(4))
    is_throttled = np.zeros(len(places), bool)
    np.add.at(begun, (lanes, rows), [load.begun_audio_s for load in loads])
    np.add.at(waiting, rows, [load.waiting_audio_s for load in loads])
    np.add.at(running, rows, [load.running_audio_s for load in loads])
    np.maximum.at(held_per_s, rows, [load.held_per_s or 0.0 for load in loads])
    np.maximum.at(held_burst, rows, [load.held_burst_audio_s or 0.0 for load in loads])
    is_throttled[rows[[load.is_throttled for load in loads]]] = True
    return Told(tenants, at, begun, waiting, running, held_per_s, held_burst, is_throttled)


def answers(
    found: Told, made: grants.Answer, others: elsewhere.Amounts, limited: frozenset[str]
) -> tuple[reports.Grant, ...]:
    """Return what an answer says of the tenants: of `limited` ones their parts, and what `others` have given each."""
    others = others[:, found.at]
    n_lanes = 1 + int(np.flatnonzero(others.any(axis=1)).max(initial=-1))
    rows = zip(
        found.tenants,
        made.per_s[found.at].tolist(),
        made.burst_audio_s[found.at].tolist(),
        others[:n_lanes].T.tolist(),
        strict=True,
    )
    said = []
    for tenant, per_s, burst_audio_s, given in rows:
        lanes = tuple(given) if any(given) else ()
        if tenant in limited:
            said.append(reports.Grant(tenant=tenant, per_s=per_s, burst_audio_s=burst_audio_s, elsewhere_audio_s=lanes))
        elif lanes:
            said.append(reports.Grant(tenant=tenant, elsewhere_audio_s=lanes))
    return tuple(said)
