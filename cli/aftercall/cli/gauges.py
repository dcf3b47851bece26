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
        sums: collections.defaultdict[tuple[metrics.Metric, str], float] = collections.defaultdict(float)
        rates: dict[str, float] = {}
        for tenant, standing in self.backlog.standings():
            label = self.observe.tenant_label(tenant)
            sums[metrics.WAITING_AUDIO, label] += standing.waiting_s
            sums[metrics.RUNNING_AUDIO, label] += standing.running_s
            sums[metrics.THROTTLED, label] = max(sums[metrics.THROTTLED, label], standing.is_throttled)
            if standing.rate is not None:
                rates[tenant] = standing.rate  # one for all of its lanes
        for tenant, rate in rates.items():
            sums[metrics.GRANT, self.observe.tenant_label(tenant)] += rate
        for (metric, label), value in sums.items():
            self.observe.set(metric, value, tenant=label)
