"""What running parts tell of themselves, without knowing who counts it."""

from __future__ import annotations

import typing
from typing import Protocol

from aftercall.consumers import tracing
from aftercall.contracts import metrics
from aftercall.serve.clients import inprocess


class Observer(Protocol):
    """Takes measurements of declared metrics."""

    def add(self, metric: metrics.Metric, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter or gauge."""
        ...

    def set(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Set a gauge."""
        ...

    def observe(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        ...


def count_batch(observe: Observer, batch: inprocess.BatchReport) -> None:
    """Count one engine call."""
    observe.add(metrics.BATCHES)
    observe.observe(metrics.BATCH_WINDOWS, batch.n_windows)
    observe.add(metrics.ENGINE_SECONDS, batch.engine_s)
    observe.add(metrics.WINDOW_SECONDS, batch.window_s)


class Unobserved:
    """Counts nothing."""

    def add(self, metric: metrics.Metric, amount: float = 1.0, **labels: str) -> None:
        """Drop it."""

    def set(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Drop it."""

    def observe(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Drop it."""


MAX_TENANTS = 500
"""Told apart by name where histograms have tenants too; a consumer is told of tenants by whoever publishes."""
OTHER = "other"


class PrometheusObserver:
    """Counts into a Prometheus registry of its own, holding every declared metric from the start."""

    def __init__(self, *, max_tenants: int = MAX_TENANTS) -> None:
        import prometheus_client
        from prometheus_client.openmetrics import exposition as openmetrics

        self._render = prometheus_client.generate_latest
        self._render_open: typing.Callable[[typing.Any], bytes] = openmetrics.generate_latest
        self.registry = prometheus_client.CollectorRegistry()
        self._series: dict[str, typing.Any] = {}
        self._max_tenants = max_tenants
        self._tenants: set[str] = set()
        self._begun: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        kinds = {
            metrics.Kind.COUNTER: prometheus_client.Counter,
            metrics.Kind.GAUGE: prometheus_client.Gauge,
            metrics.Kind.HISTOGRAM: prometheus_client.Histogram,
        }
        for metric in metrics.ALL:
            more = {"buckets": metric.buckets} if metric.kind is metrics.Kind.HISTOGRAM else {}
            self._series[metric.name] = kinds[metric.kind](
                metric.name, metric.help, metric.labels, registry=self.registry, **more
            )
            self._begin(metric, {})

    def tenant_label(self, tenant: str) -> str:
        """Return what a tenant is called in labels: the first few hundred by name, so that series stay bounded."""
        if tenant in self._tenants or len(self._tenants) < self._max_tenants:
            self._tenants.add(tenant)
            return tenant
        return OTHER

    def add(self, metric: metrics.Metric, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter or gauge."""
        self._labelled(metric, labels).inc(amount)

    def set(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._labelled(metric, labels).set(value)

    def observe(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Add an observation to a histogram; a traced one names its trace, where that can be looked up."""
        trace_id = tracing.kept_trace_id() if metric.traced else None
        self._labelled(metric, labels).observe(value, None if trace_id is None else {"trace_id": trace_id})

    def forget(self, *of: metrics.Metric, **labels: str) -> None:
        """Drop every series of these metrics, or of all, that has all of these labels: what it was of is gone."""
        if "tenant" in labels and not of:
            self._tenants.discard(labels["tenant"])
        names = set()
        for metric in of or metrics.ALL:
            names.add(metric.name)
            if labels.keys() <= set(metric.labels):
                self._series[metric.name].remove_by_labels(labels)
        gone = {key for key in self._begun if key[0] in names and labels.items() <= dict(key[1]).items()}
        self._begun -= gone

    def exposition(self, *, openmetrics: bool = False) -> bytes:
        """Return the Prometheus text format, or OpenMetrics, which alone has exemplars."""
        return self._render_open(self.registry) if openmetrics else self._render(self.registry)

    def _labelled(self, metric: metrics.Metric, labels: dict[str, str]) -> typing.Any:
        series = self._series[metric.name]
        if "tenant" in labels:
            labels = labels | {"tenant": self.tenant_label(labels["tenant"])}
        if metric.shown:
            self._begin(metric, labels)
        return series.labels(**labels) if metric.labels else series

    def _begin(self, metric: metrics.Metric, labels: dict[str, str]) -> None:
        """Show what else there is with these labels' values, at 0."""
        of = {name: value for name, value in labels.items() if not any(name in each for each in metric.shown)}
        key = metric.name, tuple(sorted(of.items()))
        if key in self._begun:
            return
        self._begun.add(key)
        for each in metric.shown:
            if {*of, *each} == set(metric.labels):
                self._series[metric.name].labels(**of, **each)
