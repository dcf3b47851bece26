"""What a consumer's gauges say at the moment that Prometheus asks."""

from __future__ import annotations

import collections
import dataclasses
from importlib import metadata

from aftercall.consumers import observer, reporting
from aftercall.consumers.intake import backlog, kafka
from aftercall.contracts import metrics


@dataclasses.dataclass(frozen=True, slots=True)
class Gauges:
    """Reads a consumer's backlog and poller into its metrics."""

    observe: observer.PrometheusObserver
    backlog: backlog.Backlog
    poller: kafka.Poller
    reporter: reporting.Reporter | None = None

    def __post_init__(self) -> None:
        self.observe.set(metrics.BUILD_INFO, 1, version=metadata.version("aftercall"), part="consumer")

    def refresh(self, *, n_windows: int) -> None:
        """Set every gauge to what is now."""
        self.observe.set(metrics.WAITING, self.backlog.n_waiting)
        self.observe.set(metrics.WINDOWS_IN_FLIGHT, n_windows)
        self.observe.set(metrics.OLDEST_UNFINISHED, self.poller.oldest_unfinished_age_s())
        if self.reporter is not None:
            self.observe.set(metrics.LEASE_LEFT, self.reporter.lease_left_s)
        for topic, n_paused in self.poller.n_paused().items():
            self.observe.set(metrics.PAUSED, n_paused, topic=topic)
        sums: collections.defaultdict[tuple[metrics.Metric, str, str], float] = collections.defaultdict(float)
        throttled: dict[str, bool] = {}
        rates: dict[str, float] = {}
        for lane, tenant, standing in self.backlog.standings():
            label = self.observe.tenant_label(tenant)
            sums[metrics.WAITING_AUDIO, label, lane] += standing.waiting_s
            sums[metrics.RUNNING_AUDIO, label, lane] += standing.running_s
            throttled[label] = throttled.get(label, False) or standing.is_throttled
            if standing.rate is not None:
                rates[tenant] = standing.rate  # one for all of its lanes
        for (metric, label, on), value in sums.items():
            self.observe.set(metric, value, tenant=label, lane=on)
        for label, is_throttled in throttled.items():
            self.observe.set(metrics.THROTTLED, is_throttled, tenant=label)
        granted: collections.defaultdict[str, float] = collections.defaultdict(float)
        for tenant, rate in rates.items():
            granted[self.observe.tenant_label(tenant)] += rate
        for label, rate in granted.items():
            self.observe.set(metrics.GRANT, rate, tenant=label)
