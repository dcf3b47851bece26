"""Rules do what their unit tests say, by promtool; and each of them has one."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml
from peers import prometheus

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / "charts" / "aftercall" / "files" / "rules").glob("*.yaml"))
TESTS = pathlib.Path(__file__).parent / "rules"


def rules(kind: str) -> set[str]:
    """Return the names of all recorded series, or of all alerts."""
    groups = [group for path in FILES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule[kind] for group in groups for rule in group["rules"] if kind in rule}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_prometheus_takes_the_file_and_computes_what_is_expected(path: pathlib.Path) -> None:
    """Alerts fire where they should and nowhere else, and series have the expected values."""
    prometheus.promtool("check", "rules", str(path))

    assert "SUCCESS" in prometheus.promtool("test", "rules", f"{path.stem}.test.yaml", folder=TESTS)


def test_every_alert_is_seen_firing_and_every_series_is_computed() -> None:
    """What has no test is named here."""
    told = "\n".join(path.read_text() for path in TESTS.glob("*.test.yaml"))

    assert rules("alert") == set(re.findall(r'labels: .{alertname="(\w+)"', told))
    assert rules("record") == {name for name in rules("record") if re.search(rf"\b{name}\b", told)}
