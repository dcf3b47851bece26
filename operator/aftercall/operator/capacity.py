"""What one replica can do, learned from what it does while it is saturated.

Throughput by replicas says how much work there was, not how much could be done: at 20 % load with headroom, replicas
that look slow ask for more replicas, which look slower still (1 becomes 27 in 12 steps). So only work under
saturation counts, a second of it for each second that a replica was busy, and what is learned stays within a factor of
what was configured.
"""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True, slots=True)
class Prior:
    """What is believed before anything was measured, and how far a measurement may be from it."""

    per_s: float
    """Audio-seconds a second of one replica."""
    spread: float = 4.0
    """At most so many times more, and so many times less."""

    def clamp(self, per_s: float) -> float:
        """Return the nearest capacity that is believed."""
        return min(self.per_s * self.spread, max(self.per_s / self.spread, per_s))


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What was done since the last reading by all replicas together, and their busy seconds together."""

    done_audio_s: float
    busy_s: float
    is_saturated: bool
    """Whether work waited for a replica throughout."""


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """What was learned, which outlives the operator: audio-seconds a busy second, and the busy seconds it rests on."""

    per_s: float
    weight_s: float


def learn(before: Estimate | None, sample: Sample | None, prior: Prior, *, memory_s: float = 600.0) -> Estimate | None:
    """Return what is known after a sample; one that was not saturated, or is no number, changes nothing.

    The newest `memory_s` busy seconds count, so that a GPU or a model that was changed is learned anew within ten
    minutes of work; what was configured counts like a minute of them.
    """
    if sample is None or not sample.is_saturated or not sample.busy_s > 0 or not 0 <= sample.done_audio_s < math.inf:
        return before
    known = before or Estimate(prior.per_s, 60.0)
    weight_s = min(memory_s, known.weight_s)
    share = sample.busy_s / (weight_s + sample.busy_s)
    seen = prior.clamp(sample.done_audio_s / sample.busy_s)
    return Estimate(known.per_s + share * (seen - known.per_s), min(memory_s, weight_s + sample.busy_s))


def per_replica(estimate: Estimate | None, prior: Prior) -> float:
    """Return the audio-seconds a second to count on from one replica that is busy."""
    return prior.per_s if estimate is None else prior.clamp(estimate.per_s)
