"""Metric names follow the conventions that dashboards and people rely on."""

from __future__ import annotations

import re

import pytest

from aftercall.consumers import observer
from aftercall.consumers.intake import entrance
from aftercall.consumers.publish import webhook
from aftercall.contracts import metrics, outcomes, transcript

UNBOUNDED = {"call_id", "recording_id", "transcription_id", "version", "path", "message"}


@pytest.mark.parametrize("metric", metrics.ALL, ids=lambda metric: metric.name)
def test_names_and_labels_follow_the_conventions(metric: metrics.Metric) -> None:
    """Prefix, snake case, `_total` for counters alone, a sentence of help, no label without bound."""
    assert re.fullmatch(r"aftercall_[a-z]+_[a-z_]+", metric.name)
    assert (metric.kind is metrics.Kind.COUNTER) == metric.name.endswith("_total")
    assert (metric.kind is metrics.Kind.HISTOGRAM) == bool(metric.buckets)
    assert metric.help.endswith(".")
    assert not UNBOUNDED & set(metric.labels) or metric is metrics.BUILD_INFO


def test_every_metric_is_in_the_exposition_once_it_has_a_value() -> None:
    """The registry is made from the declarations."""
    observe = observer.PrometheusObserver()
    for metric in metrics.ALL:
        labels = dict.fromkeys(metric.labels, "x")
        if metric.kind is metrics.Kind.HISTOGRAM:
            observe.observe(metric, 1.0, **labels)
        else:
            observe.add(metric, 1.0, **labels)

    shown = observe.exposition().decode()

    assert [] == [metric.name for metric in metrics.ALL if f"\n{metric.name}" not in f"\n{shown}"]


def test_a_stranger_cannot_make_series_without_end() -> None:
    """Ten thousand tenants are some hundred series and one for all others."""
    observe = observer.PrometheusObserver()
    for at in range(10_000):
        observe.add(metrics.AUDIO_SECONDS, 1.0, tenant=f"t{at}")

    shown = [line for line in observe.exposition().decode().splitlines() if line.startswith(metrics.AUDIO_SECONDS.name)]

    assert observer.MAX_TENANTS + 1 == len(shown)
    assert f'{metrics.AUDIO_SECONDS.name}{{tenant="other"}} 9500.0' in shown


def test_a_tenant_that_is_gone_makes_room_for_another() -> None:
    """Where tenants come and go, those that are there are told apart."""
    observe = observer.PrometheusObserver(max_tenants=2)
    for tenant in ("a", "b"):
        observe.set(metrics.OPERATOR_LIMIT, 1.0, tenant=tenant)
    observe.forget(tenant="a")
    observe.set(metrics.OPERATOR_LIMIT, 2.0, tenant="c")

    shown = [
        line for line in observe.exposition().decode().splitlines() if line.startswith(metrics.OPERATOR_LIMIT.name)
    ]

    assert [
        f'{metrics.OPERATOR_LIMIT.name}{{tenant="{name}"}} {value}' for name, value in (("b", 1.0), ("c", 2.0))
    ] == shown


def test_series_of_what_is_gone_are_dropped() -> None:
    """A pool that was deleted is not told of for ever; another's series stay."""
    observe = observer.PrometheusObserver()
    for pool in ("gone", "kept"):
        observe.set(metrics.OPERATOR_BACKLOG, 1.0, pool=pool)
        observe.add(metrics.OPERATOR_CHANGES, pool=pool, fleet="speech", direction="up")

    observe.forget(pool="gone")

    told = observe.exposition().decode()
    assert 'pool="gone"' not in told
    assert 'aftercall_operator_backlog_audio_seconds{pool="kept"} 1.0' in told


def test_some_series_of_what_is_gone_are_dropped() -> None:
    """Those of the metrics that are named: what was counted of a fleet that is not read now stays counted."""
    observe = observer.PrometheusObserver()
    observe.set(metrics.OPERATOR_READY, 3.0, pool="p", fleet="speech")
    observe.set(metrics.OPERATOR_READY, 2.0, pool="p", fleet="consumers")
    observe.add(metrics.OPERATOR_CHANGES, pool="p", fleet="speech", direction="up")

    observe.forget(metrics.OPERATOR_READY, pool="p", fleet="speech")
    observe.add(metrics.OPERATOR_CHANGES, pool="p", fleet="speech", direction="up")

    told = observe.exposition().decode()
    assert 'ready_replicas{fleet="speech"' not in told
    assert 'aftercall_operator_ready_replicas{fleet="consumers",pool="p"} 2.0' in told
    assert 'scale_changes_total{direction="up",fleet="speech",pool="p"} 2.0' in told


def test_what_is_shown_from_the_start_can_happen() -> None:
    """Outcomes, reasons, flags and verdicts are those that the code has words for."""
    known = {
        "outcome": set(outcomes.Kind),
        "flag": set(transcript.Flag),
        "verdict": {*webhook.Verdict, "deferred"},
        "why": {
            *(entrance.OVER_SHARE, entrance.NEWER_SCHEMA, entrance.OTHER_MODEL),
            *(entrance.UNKNOWN_TENANT, entrance.UNKNOWN_TOPIC),
        },
        "reason": set(outcomes.Reason),
    }
    for metric in metrics.ALL:
        for labels in metric.shown:
            assert labels.keys() <= set(metric.labels), metric.name
            for name, value in labels.items():
                assert value in known.get(name, {value}), (metric.name, value)
