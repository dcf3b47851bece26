"""What Prometheus reads: counters that begin at 0, and exemplars that lead to traces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace

from aftercall.consumers import observer
from aftercall.contracts import metrics

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C


@pytest.fixture
def within(request: pytest.FixtureRequest) -> Iterator[None]:
    """A trace that is kept, or one that is not."""
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if request.param else trace.TraceFlags.DEFAULT)
    span = trace.NonRecordingSpan(trace.SpanContext(TRACE_ID, 1, is_remote=False, trace_flags=flags))
    with trace.use_span(span):
        yield


def exemplars(observe: observer.PrometheusObserver) -> list[str]:
    """Return the lines of the exposition that have one."""
    return [line for line in observe.exposition(openmetrics=True).decode().splitlines() if " # {" in line]


@pytest.mark.parametrize("within", [True], indirect=True)
@pytest.mark.parametrize(
    ("metric", "labels"), [(metrics.EVENT_TO_TRANSCRIPT_SECONDS, {}), (metrics.STAGE_SECONDS, {"stage": "fetch"})]
)
@pytest.mark.usefixtures("within")
def test_an_observation_names_its_trace(metric: metrics.Metric, labels: dict[str, str]) -> None:
    """In the bucket that it falls into, to whoever asks for OpenMetrics."""
    observe = observer.PrometheusObserver()
    observe.observe(metric, 3.0, **labels)

    (line,) = exemplars(observe)
    assert f'{metric.name}_bucket{{le="5.0"' in line
    assert f'# {{trace_id="{TRACE_ID:032x}"}} 3.0' in line
    assert b"trace_id" not in observe.exposition()


@pytest.mark.parametrize("within", [False], indirect=True)
@pytest.mark.usefixtures("within")
def test_a_trace_that_is_not_kept_is_not_named() -> None:
    """Nobody could look it up."""
    observe = observer.PrometheusObserver()
    observe.observe(metrics.EVENT_TO_TRANSCRIPT_SECONDS, 3.0)

    assert [] == exemplars(observe)


@pytest.mark.parametrize("within", [True], indirect=True)
@pytest.mark.usefixtures("within")
def test_a_batch_is_of_no_trace() -> None:
    """Many calls share it."""
    observe = observer.PrometheusObserver()
    observe.observe(metrics.BATCH_WINDOWS, 3.0)

    assert [] == exemplars(observe)


def values(observe: observer.PrometheusObserver, metric: metrics.Metric) -> dict[tuple[str, ...], float]:
    """Return the samples of a counter by its labels' values."""
    found = {}
    for family in observe.registry.collect():
        for sample in family.samples:
            if sample.name == metric.name:
                found[tuple(sample.labels[name] for name in metric.labels)] = sample.value
    return found


def test_what_an_alert_counts_is_there_before_it_happens() -> None:
    """A dead letter that is the first of its kind grows from 0 to 1."""
    before = values(observer.PrometheusObserver(), metrics.JOBS)

    assert {0.0} == set(before.values())
    assert {("dead", "decoder_died"), ("canonical", "done")} <= before.keys()


def test_a_promise_that_is_the_first_broken_one_grows_whosever_it_was() -> None:
    """Objectives count without tenants: a tenant's own counter begins with its first outcome, and rates miss that."""
    before = values(observer.PrometheusObserver(), metrics.POOL_PROMISES)

    assert {("true",): 0.0, ("false",): 0.0, ("throttled",): 0.0} == before


def test_a_tenant_brings_every_answer_with_it() -> None:
    """With the first promise kept, none is broken yet."""
    observe = observer.PrometheusObserver()
    assert {} == values(observe, metrics.PROMISES)

    observe.add(metrics.PROMISES, tenant="acme", kept="true")

    expected = {("acme", "true"): 1.0, ("acme", "false"): 0.0, ("acme", "throttled"): 0.0}
    assert expected == values(observe, metrics.PROMISES)
