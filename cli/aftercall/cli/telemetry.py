"""Where a running part's traces go, and how it logs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from importlib import metadata

from aftercall.cli import logs
from aftercall.contracts import sections


@contextlib.contextmanager
def telling(configured: sections.Telemetry, *, part: str) -> Iterator[None]:
    """Log, and send traces where the settings say, until the end of the block; then send what is left."""
    logs.configure(logging.INFO, as_json=configured.log_format == "json")
    if configured.otlp_endpoint is None:
        yield
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http import trace_exporter
    from opentelemetry.sdk import resources
    from opentelemetry.sdk import trace as sdk
    from opentelemetry.sdk.trace import export, sampling

    resource = resources.Resource.create(
        {"service.name": f"aftercall-{part}", "service.version": metadata.version("aftercall")}
    )
    # A producer that samples decides for the whole trace; our own share is of those that begin here.
    sampler = sampling.ParentBased(sampling.TraceIdRatioBased(configured.trace_ratio))
    provider = sdk.TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    address = f"{str(configured.otlp_endpoint).rstrip('/')}/v1/traces"
    provider.add_span_processor(export.BatchSpanProcessor(trace_exporter.OTLPSpanExporter(endpoint=address)))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()
