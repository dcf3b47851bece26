"""What a Ray replica tells of its engine: Ray puts `ray_` before the names, and shows them beside its own metrics."""

from __future__ import annotations

from aftercall.contracts import metrics
from aftercall.serve.clients import inprocess


class Batches:
    """Counts engine calls, as a consumer that hears by itself does."""

    def __init__(self) -> None:
        from ray.util import metrics as ray_metrics

        self._batches = ray_metrics.Counter(metrics.BATCHES.name, metrics.BATCHES.help)
        self._windows = ray_metrics.Counter(f"{metrics.BATCH_WINDOWS.name}_total", metrics.BATCH_WINDOWS.help)
        self._engine_s = ray_metrics.Counter(metrics.ENGINE_SECONDS.name, metrics.ENGINE_SECONDS.help)

    def count(self, batch: inprocess.BatchReport) -> None:
        """Count one."""
        self._batches.inc()
        self._windows.inc(batch.n_windows)
        self._engine_s.inc(batch.engine_s)
