"""The tenants file: taken whole, taken again, and never half."""

from __future__ import annotations

import pathlib

import pytest

from aftercall.consumers import observer, tenants
from aftercall.consumers.intake import admission, turns
from aftercall.contracts import errors, settings

GOOD = """
- name: acme
  weight: 4
  audio_seconds_per_minute: 600
- name: globex
  concurrency: 2
  audio_seconds_per_minute: 12
  burst_audio_seconds: 90
"""


def load(path: pathlib.Path) -> tuple[tenants.Tenants, observer.PrometheusObserver]:
    """Load a file, and what observes it."""
    observe = observer.PrometheusObserver()
    return tenants.Tenants(settings.load({}, overrides={"intake": {"tenants_file": path}}), observe), observe


def test_policies_become_terms(tmp_path: pathlib.Path) -> None:
    """Weights, limits by the second, bursts of at least a window; who is not listed has no limit."""
    (tmp_path / "t.yaml").write_text(GOOD)
    found, _ = load(tmp_path / "t.yaml")

    assert turns.Terms(4.0, admission.Limit(10.0, 600.0), None) == found.terms("acme")
    assert turns.Terms(1.0, admission.Limit(0.2, 90.0), 2) == found.terms("globex")
    assert turns.Terms() == found.terms("nobody")


def test_a_bad_edit_keeps_the_last_good_file(tmp_path: pathlib.Path) -> None:
    """And is told, until it is mended; even where the file is gone for a while."""
    path = tmp_path / "t.yaml"
    path.write_text(GOOD)
    found, observe = load(path)

    for broken in ("- name: acme\n  wieght: 2", "{", "tenants: 3", "- name: a\n- name: a", "- 7", None):
        path.write_text(broken) if broken is not None else path.unlink()
        found.look()
        assert 4.0 == found.terms("acme").weight
        assert b"aftercall_intake_tenants_file_invalid 1.0" in observe.exposition()
    path.write_text("tenants:\n- name: acme\n  weight: 2\n")
    found.look()

    assert 2.0 == found.terms("acme").weight
    assert b"aftercall_intake_tenants_file_invalid 0.0" in observe.exposition()


def test_a_file_that_is_bad_from_the_start_is_told_whole(tmp_path: pathlib.Path) -> None:
    """Every mistake of it."""
    path = tmp_path / "t.yaml"
    path.write_text("- name: a\n  weight: 0\n- name: ..\n- name: b\n  redaction: true\n")
    with pytest.raises(errors.ConfigurationError) as caught:
        load(path)

    assert 3 == len(str(caught.value).splitlines())
