"""Alerts, runbooks and expressions name what is there."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator

import pytest
import yaml

from aftercall.contracts import metrics
from observability.rules import files, foreign, groups, speech

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
FILES = ROOT / "charts" / "aftercall" / "files"
SECTIONS = ["What it means", "What users notice", "How to look", "What to do", "When it is over"]
WORDS = {
    *("and", "avg", "avg_over_time", "by", "changes", "count", "group_left", "histogram_quantile", "increase"),
    *("label_replace", "last_over_time", "max", "max_over_time", "min", "min_over_time", "offset", "on", "or"),
    *("quantile_over_time", "rate", "sum"),
    *("sum_over_time", "time", "timestamp", "topk", "unless"),
}
"""What PromQL itself says in our expressions."""


def known() -> set[str]:
    """Return every series that there may be."""
    ours = set()
    for metric in metrics.ALL:
        parts = ("_bucket", "_sum", "_count") if metric.kind is metrics.Kind.HISTOGRAM else ("",)
        ours |= {metric.name + part for part in parts}
    of_ray = {speech.RAY_BATCHES, speech.RAY_BATCH_WINDOWS, speech.RAY_ENGINE_SECONDS}
    return ours | of_ray | set(foreign.SOURCES) | {record.name for record in files.RECORDS}


def expressions() -> Iterator[tuple[str, str]]:
    """Return every expression of the committed files, with where it stands."""
    for path in sorted((FILES / "rules").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield f"{path.name}: {rule.get('record', rule.get('alert'))}", rule["expr"]
    for path in sorted((FILES / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield f"{path.name}: {panel['title']}", target["expr"]
        for annotation in board["annotations"]["list"]:
            yield f"{path.name}: {annotation['name']}", annotation["expr"]


def names(expr: str) -> set[str]:
    """Return the metrics that an expression names: words that are no labels, texts, durations or PromQL's own."""
    bare = re.sub(r'"[^"]*"', "", expr)
    bare = re.sub(r"\{[^{}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|on|without|group_left|ignoring)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\$\w+", " ", bare)
    return {name for name in re.findall(r"\b[a-zA-Z_][\w:]*", bare) if name not in WORDS}


@pytest.mark.parametrize(("place", "expr"), [pytest.param(*one, id=one[0]) for one in expressions()])
def test_every_metric_is_declared_or_known_of_another_program(place: str, expr: str) -> None:
    """Ours in contracts/metrics.py, recorded series in the rules, others in a list with their sources."""
    assert names(expr), place
    assert set() == names(expr) - known()


def test_a_name_that_is_not_there_is_found_out() -> None:
    """The list above would be worth nothing otherwise."""
    wrong = 'sum by (pool) (rate(aftercall_consumer_job_total{outcome="dead"}[5m])) / on (pool) up'

    assert {"aftercall_consumer_job_total"} == names(wrong) - known()


def test_labels_are_those_of_the_metric_or_of_its_target() -> None:
    """A matcher on a label that a metric of ours does not have matches everything or nothing."""
    targets = {"namespace", "pod", "pool", "component", "container", "job", "instance"}
    labels = {
        f"{metric.name}{part}": {*metric.labels, "le"} | targets
        for metric in metrics.ALL
        for part in ("", "_bucket", "_sum", "_count")
    }
    wrong = {
        (place, name, label)
        for place, expr in expressions()
        for name, matchers in re.findall(r"\b([\w:]+)\{([^{}]*)\}", expr)
        for label in re.findall(r"(\w+)\s*[=!]", re.sub(r'"[^"]*"', "", matchers))
        if name in labels and label not in labels[name]
    }

    assert set() == wrong


def test_every_alert_has_a_runbook_and_every_runbook_its_alert() -> None:
    """Named after the alert; the list of all names each."""
    expected = {alert.runbook for alert in files.ALERTS}

    assert expected == {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}
    listed = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    for alert in files.ALERTS:
        assert f"| [{alert.name}]({alert.runbook}) | {alert.severity} |" in listed


@pytest.mark.parametrize("alert", {alert.name: alert for alert in files.ALERTS}.values(), ids=lambda alert: alert.name)
def test_a_runbook_has_the_parts_that_one_needs_at_night(alert: groups.Alert) -> None:
    """In this order, and each says something."""
    text = (RUNBOOKS / alert.runbook).read_text(encoding="utf-8")

    assert text.startswith(f"# {alert.name}\n")
    assert SECTIONS == re.findall(r"^## (.*)$", text, re.MULTILINE)
    for part in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]:
        assert len(part.strip()) > 20
    assert "```" in text
    for block in re.findall(r"^```promql\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            assert names(line)
            assert set() == names(line) - known()


def test_alerts_say_who_hears_and_where_to_read_on() -> None:
    """A severity, texts with a value or a label in them, a runbook's address that the chart completes."""
    for path in sorted((FILES / "rules").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    told = rule["annotations"]
                    assert rule["labels"]["severity"] in {"page", "ticket"}
                    assert told["runbook_url"] == f"__RUNBOOKS__/{groups.kebab(rule['alert'])}.md"
                    assert "{{" in told["summary"] + told["description"], rule["alert"]
                    assert rule["alert"].startswith("Aftercall")


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_commands_of_runbooks_find_what_is_there(path: pathlib.Path) -> None:
    """Objects by the chart's full name, all lines of a log that is searched, and programs that the image has."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.search(r"kubectl.* logs -l .*\| grep", line):
            assert "--tail=-1" in line
        assert "RELEASE" not in line
        assert not re.search(r"exec \S+ -- kill ", line)
