"""What running parts tell of themselves, without knowing who counts it."""

from __future__ import annotations

from typing import Protocol

from aftercall.contracts import metrics


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


class Unobserved:
    """Counts nothing."""

    def add(self, metric: metrics.Metric, amount: float = 1.0, **labels: str) -> None:
        """Drop it."""

    def set(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Drop it."""

    def observe(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Drop it."""


class PrometheusObserver:
    """Counts into a Prometheus registry of its own, holding every declared metric from the start."""

    def __init__(self) -> None:
        import prometheus_client

        self._client = prometheus_client
        self.registry = prometheus_client.CollectorRegistry()
        self._series: dict[str, prometheus_client.Counter | prometheus_client.Gauge | prometheus_client.Histogram] = {}
        for metric in metrics.ALL:
            match metric.kind:
                case metrics.Kind.COUNTER:
                    series = prometheus_client.Counter(metric.name, metric.help, metric.labels, registry=self.registry)
                case metrics.Kind.GAUGE:
                    series = prometheus_client.Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
                case metrics.Kind.HISTOGRAM:
                    series = prometheus_client.Histogram(
                        metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=self.registry
                    )
            self._series[metric.name] = series

    def add(self, metric: metrics.Metric, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter or gauge."""
        self._labelled(metric, labels).inc(amount)

    def set(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._labelled(metric, labels).set(value)

    def observe(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        self._labelled(metric, labels).observe(value)

    def exposition(self) -> bytes:
        """Return the Prometheus text format."""
        return self._client.generate_latest(self.registry)

    def _labelled(self, metric: metrics.Metric, labels: dict[str, str]):  # type: ignore[no-untyped-def]
        series = self._series[metric.name]
        return series.labels(**labels) if metric.labels else series
