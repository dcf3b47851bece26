"""Policies that a simulation compares: ours, KEDA's Kafka scaler over the HPA, Ray Serve's own."""

from __future__ import annotations

import collections
import dataclasses
import math

from aftercall.operator import capacity, demand, scaling
from aftercall.operator.simulator import cluster


class Ours:
    """The operator's decision, from reports alone. `drain_share` is of a promise: what waits is spread over so much."""

    def __init__(
        self, policy: scaling.Policy, *, prior: capacity.Prior, drain_share: float, time_constant_s: float
    ) -> None:
        self._policy = policy
        self._prior = prior
        self._drain_share = drain_share
        self._time_constant_s = time_constant_s
        self._estimate: capacity.Estimate | None = None
        self._rates: dict[str, demand.Rate] = {}
        self._state = scaling.State()

    def __call__(self, view: cluster.View) -> int:
        """Return the replicas that the operator would ask for."""
        loads = {name: self._load(view, name) for name in view.promises_s}
        sample = capacity.Sample(view.done_audio_s, view.busy_s, view.is_saturated)
        self._estimate = capacity.learn(self._estimate, sample, self._prior)
        wanted, self._rates = demand.read(loads, self._rates, now_s=view.now_s, time_constant_s=self._time_constant_s)
        fleet = scaling.Fleet(view.asked, view.ready, capacity.per_replica(self._estimate, self._prior))
        decision, self._state = scaling.decide(wanted, fleet, self._state, self._policy, now_s=view.now_s)
        return view.asked if decision.replicas is None else decision.replicas

    def _load(self, view: cluster.View, name: str) -> demand.Load:
        promise_s, waiting, limit = view.promises_s[name], view.waiting_audio_s[name], view.limits_per_s[name]
        if promise_s is None:
            return demand.Load(view.arrived_audio_s[name], waiting, limit)
        left_s = promise_s - view.oldest_waiting_s.get(name, 0.0)
        target_s = max(self._policy.drain_target_s, self._drain_share * left_s)
        return demand.Load(0.0, 0.0, limit, (demand.Later(waiting, target_s),))


@dataclasses.dataclass(frozen=True, slots=True)
class Hpa:
    """The horizontal pod autoscaler's behaviour, with the defaults of Kubernetes 1.33 for one that is written out.

    Without `behavior` in its manifest it goes by an older rule, at most twice as many or four, which is not played.
    """

    tolerance: float = 0.1
    up_factor: float = 2.0
    up_pods: int = 4
    up_period_s: float = 15.0
    down_stabilization_s: float = 300.0


class Keda:
    """KEDA's Kafka scaler: messages not yet committed, so many a replica, through the HPA; to and from zero by itself.

    Sources: kubernetes `pkg/controller/podautoscaler` 1.33 (replica calculator for external metrics, behaviours), KEDA
    2.21 `scalers/kafka_scaler.go` (lag by partition, at most a replica each) and its scale loop (activation, cooldown).
    With `later_threshold` the topic of what is due later has a trigger of its own, and the larger wish counts.
    """

    def __init__(
        self,
        *,
        lag_threshold: float,
        later_threshold: float | None = None,
        min_replicas: int,
        max_replicas: int,
        partitions: int,
        cooldown_s: float = 300.0,
        hpa: Hpa = Hpa(),
    ) -> None:
        self._lag_threshold = lag_threshold
        self._later_threshold = later_threshold
        self._min = min_replicas
        self._max = max_replicas
        self._partitions = partitions
        self._cooldown_s = cooldown_s
        self._hpa = hpa
        self._active_s = 0.0
        self._wishes: collections.deque[tuple[float, int]] = collections.deque()
        self._changed: collections.deque[tuple[float, int]] = collections.deque()

    def __call__(self, view: cluster.View) -> int:
        """Return what the HPA would set."""
        if not self._wishes:  # what it finds at its first look counts as wished for
            self._wishes.append((view.now_s, view.asked))
        lags = [(view.waiting_calls, self._lag_threshold)]
        if self._later_threshold is not None:
            lags = [
                (view.waiting_calls - view.later_calls, self._lag_threshold),
                (view.later_calls, self._later_threshold),
            ]
        is_active = any(lag > 0 for lag, _ in lags)
        if is_active:
            self._active_s = view.now_s
        if view.asked == 0:
            return max(1, self._min) if is_active else self._min
        if self._min == 0 and view.now_s - self._active_s >= self._cooldown_s:
            return 0
        wish = max(self._wish(lag, threshold, view.asked) for lag, threshold in lags)
        return self._behave(max(1, self._min, min(self._max, wish)), view)

    def _wish(self, lag: int, threshold: float, asked: int) -> int:
        # The scaler reports no more than a threshold for each partition, which caps replicas at partitions.
        reported = min(lag, math.floor(threshold * self._partitions))
        ratio = reported / (threshold * asked)
        is_near = 1 - self._hpa.tolerance <= ratio <= 1 + self._hpa.tolerance
        return asked if is_near else math.ceil(reported / threshold)

    def _behave(self, wish: int, view: cluster.View) -> int:
        # Looks come a little late: what was wished for or done a whole window or period ago is out of it.
        while self._wishes and view.now_s - self._wishes[0][0] >= self._hpa.down_stabilization_s:
            self._wishes.popleft()
        while self._changed and view.now_s - self._changed[0][0] >= self._hpa.up_period_s:
            self._changed.popleft()
        self._wishes.append((view.now_s, wish))
        if wish < view.asked:
            allowed = min(view.asked, max(each for _, each in self._wishes))
        else:
            # What the period began with: what it took away may come back at once.
            before = view.asked - sum(change for _, change in self._changed)
            most = max(math.ceil(before * self._hpa.up_factor), before + self._hpa.up_pods)
            allowed = min(wish, max(view.asked, most))
        if allowed != view.asked:
            self._changed.append((view.now_s, allowed - view.asked))
        return allowed


class RayServe:
    """Ray Serve's own: requests in flight, so many a replica, after a delay up and a longer one down.

    Source: Ray 2.60 `serve/autoscaling_policy.py`, with its default delays and smoothing. Consumers keep a bounded
    number of windows in flight, so that it sees no more than that of a backlog.
    """

    def __init__(
        self,
        *,
        target_ongoing: float,
        max_in_flight: int,
        min_replicas: int,
        max_replicas: int,
        window_audio_s: float = 25.0,
        upscale_delay_s: float = 30.0,
        downscale_delay_s: float = 600.0,
    ) -> None:
        self._target_ongoing = target_ongoing
        self._max_in_flight = max_in_flight
        self._min = min_replicas
        self._max = max_replicas
        self._window_audio_s = window_audio_s
        self._upscale_delay_s = upscale_delay_s
        self._downscale_delay_s = downscale_delay_s
        self._since: tuple[int, float] = (0, 0.0)
        """Which way it has wanted to go, and since when; 0: none, or it has just gone."""

    def __call__(self, view: cluster.View) -> int:
        """Return what Ray would set."""
        windows = math.ceil(sum(view.waiting_audio_s.values()) / self._window_audio_s)
        ongoing = min(self._max_in_flight, windows)
        if view.ready == 0:  # until one runs, no more than one is asked for, and at once
            return max(view.asked, self._min, 1 if ongoing else 0)
        wish = max(self._min, min(self._max, math.ceil(ongoing / self._target_ongoing)))
        if wish < view.asked and view.asked > 1:
            wish = max(1, wish)  # to zero only from one
        direction = (wish > view.asked) - (wish < view.asked)
        if direction != self._since[0]:
            self._since = (direction, view.now_s)
        delay_s = self._upscale_delay_s if direction > 0 else self._downscale_delay_s
        if direction == 0 or view.now_s - self._since[1] < delay_s:
            return view.asked
        self._since = (0, view.now_s)  # it has gone: the next change waits as long again
        return wish
