"""What each tenant was given at all consumers together, so that each can be told what it was given elsewhere.

Counted in audio-seconds of work that began, in arrays of lanes (the liveliest first) by tenants. What began is counted
once: a hand-back may lower a consumer's own count, and only what goes beyond its highest counts.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from aftercall.contracts import reports

LANES = len(reports.LANES)
_TIME_CONSTANT_S = 15.0
"""Of the rate at which a consumer begins work."""

Amounts = npt.NDArray[np.float64]
"""Audio-seconds by lane and tenant."""


@dataclasses.dataclass(slots=True)
class Service:
    """One consumer's part: the highest that it reported, what of that is counted here, and how fast it grows.

    `told` is what others had begun at the last answer that it applied, `sent` at the last that was sent; `is_known`
    marks the tenants that its last report told of.
    """

    reported: Amounts
    mine: Amounts
    told: Amounts
    sent: Amounts
    per_s: npt.NDArray[np.float64]
    is_known: npt.NDArray[np.bool_]


class Services:
    """All consumers' parts; `begun` since this operator began, by consumers that are gone too."""

    def __init__(self) -> None:
        self.begun: Amounts = np.zeros((LANES, 0))
        self.of: dict[str, Service] = {}

    def count(
        self,
        consumer: str,
        begun: Amounts,
        is_told: npt.NDArray[np.bool_],
        *,
        passed_s: float | None,
        is_same: bool,
    ) -> npt.NDArray[np.float64]:
        """Take in what a consumer has begun; return how fast it begins, in audio-seconds a second.

        A process that has begun anew (not `is_same`), or that has not told of a tenant lately, counts from zero.
        `passed_s` is since the last report, None at the first: what it had begun before, it began before this operator.
        """
        self._grow(begun.shape[1])
        known = self.of.get(consumer)
        if known is None:
            zeros = np.zeros_like(begun)
            known = Service(zeros, zeros, zeros, zeros, np.zeros(len(is_told)), np.zeros(len(is_told), bool))
            self.of[consumer] = known
        is_new = is_told & ~known.is_known if is_same else np.ones_like(is_told)
        others = self.begun - known.mine
        known.told = np.where(is_new, others, known.told)
        known.sent = np.where(is_new, others, known.sent)
        before = np.where(is_new, 0.0, known.reported)
        known.is_known = is_told
        known.reported = np.where(is_told, np.maximum(before, begun), before)
        if passed_s is None:
            return known.per_s
        more = known.reported - before
        known.mine = known.mine + more
        self.begun = self.begun + more
        if passed_s > 0:
            weight = np.where(is_new, 1.0, 1 - math.exp(-passed_s / _TIME_CONSTANT_S))
            known.per_s = known.per_s + weight * (more.sum(axis=0) / passed_s - known.per_s)
        return known.per_s

    def elsewhere(self, consumer: str, *, is_applied: bool) -> Amounts:
        """Return what others have begun since the last answer that was applied: the last sent, where `is_applied`.

        So an answer that is lost takes nothing with it, and one that was applied is not said again.
        """
        known = self.of[consumer]
        if is_applied:
            known.told = known.sent
        known.sent = self.begun - known.mine
        return np.maximum(0.0, known.sent - known.told)

    def keep(self, places: npt.NDArray[np.intp]) -> None:
        """Forget all tenants but those at these places."""
        self._grow(int(places.max(initial=-1)) + 1)
        self.begun = self.begun[:, places]
        for each in self.of.values():
            each.reported, each.mine = each.reported[:, places], each.mine[:, places]
            each.told, each.sent = each.told[:, places], each.sent[:, places]
            each.per_s, each.is_known = each.per_s[places], each.is_known[places]

    def _grow(self, n_tenants: int) -> None:
        more = n_tenants - self.begun.shape[1]
        if more <= 0:
            return
        self.begun = _wider(self.begun, more)
        for each in self.of.values():
            each.reported, each.mine = _wider(each.reported, more), _wider(each.mine, more)
            each.told, each.sent = _wider(each.told, more), _wider(each.sent, more)
            each.per_s = np.concatenate([each.per_s, np.zeros(more)])
            each.is_known = np.concatenate([each.is_known, np.zeros(more, bool)])


def _wider(amounts: Amounts, n_more: int) -> Amounts:
    return np.concatenate([amounts, np.zeros((LANES, n_more))], axis=1)
