"""What a consumer tells of tenants, lane by lane."""

from __future__ import annotations

import types
import typing

from aftercall.cli import gauges
from aftercall.consumers import observer
from aftercall.consumers.intake import backlog, kafka, turns

STANDINGS = [
    ("live", "acme", turns.Standing(waiting_s=300.0, running_s=60.0, rate=10.0)),
    ("live", "globex", turns.Standing(waiting_s=30.0)),
    ("bulk", "acme", turns.Standing(waiting_s=9000.0, rate=10.0, is_throttled=True)),
]


def told(*, max_tenants: int = 500) -> set[str]:
    """Return the lines of a consumer's metrics that name a tenant."""
    observe = observer.PrometheusObserver(max_tenants=max_tenants)
    waiting = types.SimpleNamespace(n_waiting=3, standings=lambda: STANDINGS)
    poller = types.SimpleNamespace(oldest_unfinished_age_s=lambda: 0.0, n_paused=dict)
    gauges.Gauges(observe, typing.cast(backlog.Backlog, waiting), typing.cast(kafka.Poller, poller)).refresh(
        n_windows=0
    )
    return {line for line in observe.exposition().decode().splitlines() if "tenant=" in line}


def test_what_waits_is_told_by_tenant_and_lane_and_a_grant_once() -> None:
    """Bulk waits by design while live work fills every place; a limit is one for all lanes."""
    assert {
        'aftercall_intake_waiting_audio_seconds{lane="live",tenant="acme"} 300.0',
        'aftercall_intake_waiting_audio_seconds{lane="bulk",tenant="acme"} 9000.0',
        'aftercall_intake_waiting_audio_seconds{lane="live",tenant="globex"} 30.0',
        'aftercall_intake_running_audio_seconds{lane="live",tenant="acme"} 60.0',
        'aftercall_intake_running_audio_seconds{lane="bulk",tenant="acme"} 0.0',
        'aftercall_intake_running_audio_seconds{lane="live",tenant="globex"} 0.0',
        'aftercall_intake_throttled{tenant="acme"} 1.0',
        'aftercall_intake_throttled{tenant="globex"} 0.0',
        'aftercall_intake_grant_audio_seconds_per_second{tenant="acme"} 10.0',
    } == told()


def test_tenants_beyond_those_that_are_told_apart_are_summed_up() -> None:
    """Under one label, by lane."""
    found = told(max_tenants=1)

    assert 'aftercall_intake_waiting_audio_seconds{lane="live",tenant="other"} 30.0' in found
    assert not any("globex" in line for line in found)
