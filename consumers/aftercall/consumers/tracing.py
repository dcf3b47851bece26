"""One trace from the producer's event to the webhook: spans, and the header that carries a trace over a topic.

Without a provider (see `cli.telemetry`) the API does nothing, at no cost worth naming. Span names and attributes follow
OpenTelemetry's semantic conventions for messaging; ids of work are attributes, never words or addresses of a recording.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from opentelemetry import context, trace
from opentelemetry.trace.propagation import tracecontext

_TRACER = trace.get_tracer("aftercall")
_W3C = tracecontext.TraceContextTextMapPropagator()
_NAMES = ("traceparent", "tracestate")
Headers = Sequence[tuple[str, bytes]]
Attributes = Mapping[str, str | int | float]


def carried(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of a record that carry its trace; none where they are not what W3C allows."""
    found: dict[str, bytes] = {}
    for name, value in headers:
        if name.lower() in _NAMES:
            found.setdefault(name.lower(), value)
    return tuple(found.items()) if _context(tuple(found.items())) is not None else ()


def current() -> tuple[tuple[str, bytes], ...]:
    """Return the headers that carry on the trace of what is being done now."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return tuple((name, value.encode()) for name, value in carrier.items())


def trace_id() -> str | None:
    """Return the id of the trace of what is being done now."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


def kept_trace_id() -> str | None:
    """Return the id of the trace of what is being done now, if it is among those that are sent, to be looked up."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid and found.trace_flags.sampled else None


@contextlib.contextmanager
def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: trace.SpanKind = trace.SpanKind.INTERNAL,
    links: Sequence[Headers] = (),
) -> Iterator[trace.Span]:
    """Do something as a part of what is being done now. An exception's type is noted, its message never is."""
    linked = [trace.get_current_span(found).get_span_context() for each in links if (found := _context(carried(each)))]
    with _TRACER.start_as_current_span(
        name,
        kind=kind,
        attributes=dict(attributes or {}),
        links=[trace.Link(one) for one in linked],
        record_exception=False,
        set_status_on_exception=False,
    ) as one:
        try:
            yield one
        except BaseException as exc:
            one.set_attribute("error.type", type(exc).__name__)
            one.set_status(trace.StatusCode.ERROR)
            raise


@contextlib.contextmanager
def following(headers: Headers, name: str, attributes: Attributes | None = None) -> Iterator[trace.Span]:
    """Go on with the trace that a record carries; one without is the beginning of another."""
    token = context.attach(_context(carried(headers)) or context.Context())
    try:
        with span(name, attributes, kind=trace.SpanKind.CONSUMER) as one:
            yield one
    finally:
        context.detach(token)


def _context(headers: Headers) -> context.Context | None:
    try:
        carrier = {name: value.decode("ascii") for name, value in headers}
    except UnicodeDecodeError:
        return None
    found = _W3C.extract(carrier, context.Context())
    return found if trace.get_current_span(found).get_span_context().is_valid else None
