"""Prometheus scrapes, computes rules and keeps exemplars as the tests of metrics, rules and dashboards need it."""

from __future__ import annotations

import pathlib
import threading
import wsgiref.simple_server
from collections.abc import Iterator

import cluster
import prometheus_client
import prometheus_client.openmetrics.exposition as openmetrics
import pytest
from peers import process, prometheus

_RULES = """\
groups:
- name: test
  rules:
  - record: job:lamps:sum
    expr: sum by (job) (lamps)
  - alert: TooManyLamps
    expr: job:lamps:sum > 2
    labels: {severity: page}
    annotations: {summary: "{{ $value }} lamps"}
"""
_RULES_TEST = """\
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series: [{series: 'lamps{job="a"}', values: "1 VALUE"}]
  alert_rule_test:
  - eval_time: 1m
    alertname: TooManyLamps
    exp_alerts: [{exp_labels: {severity: page, job: a}, exp_annotations: {summary: 3 lamps}}]
"""


@pytest.fixture
def rules(tmp_path: pathlib.Path) -> pathlib.Path:
    """A file of rules."""
    path = tmp_path / "rules.yml"
    path.write_text(_RULES)
    return path


@pytest.fixture
def served() -> Iterator[str]:
    """The address of metrics with an exemplar."""
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Gauge("lamps", "Lamps.", registry=registry).set(3)
    prometheus_client.Counter("calls", "Calls.", registry=registry).inc(1, exemplar={"trace_id": "abc123"})

    def app(environ: dict[str, object], start_response: object) -> list[bytes]:
        start_response("200 OK", [("Content-Type", openmetrics.CONTENT_TYPE_LATEST)])
        return [openmetrics.generate_latest(registry)]

    port = process.free_port()
    server = wsgiref.simple_server.make_server("127.0.0.1", port, app, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{port}"
    server.shutdown()
    thread.join()
    server.server_close()


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_targets_are_scraped_and_rules_computed(tmp_path: pathlib.Path, rules: pathlib.Path, served: str) -> None:
    """A target has the labels that it was given, a rule its value, an alert its state, a counter its exemplar."""
    jobs = {"lamps": [prometheus.Target(served, {"pod": "lamp-0"})]}
    server = prometheus.Prometheus(tmp_path, jobs, rules=[rules])
    server.start()
    try:
        cluster.wait_until(lambda: "TooManyLamps" in server.alerts(), timeout_s=30, what="the alert fires")
        read = (server.query("lamps"), server.value('job:lamps:sum{job="lamps"}'), server.value("nothing"))
        alerts, exemplars = server.alerts(), server.exemplars("calls_total")
    finally:
        server.stop()

    labels = {"__name__": "lamps", "job": "lamps", "pod": "lamp-0", "instance": served}
    assert ({frozenset(labels.items()): 3.0}, 3.0, None) == read
    assert {"TooManyLamps": "firing"} == alerts
    assert [{"trace_id": "abc123"}] == exemplars


def test_promtool_checks_and_tests_rules(tmp_path: pathlib.Path, rules: pathlib.Path) -> None:
    """Good rules pass with their test; a test that expects another value fails, and says what was got."""
    test = tmp_path / "rules_test.yml"

    assert "2 rules found" in prometheus.promtool("check", "rules", str(rules))
    test.write_text(_RULES_TEST.replace("VALUE", "3"))
    assert "SUCCESS" in prometheus.promtool("test", "rules", test.name, folder=tmp_path)
    test.write_text(_RULES_TEST.replace("VALUE", "2"))
    with pytest.raises(prometheus.PromtoolError, match="TooManyLamps"):
        prometheus.promtool("test", "rules", test.name, folder=tmp_path)
    rules.write_text(_RULES.replace("sum by (job)", "sum by job"))
    with pytest.raises(prometheus.PromtoolError, match="promtool check rules failed"):
        prometheus.promtool("check", "rules", str(rules))
