"""What a consumer's gauges say, of tenants with more than one lane."""

from __future__ import annotations

import typing
from types import SimpleNamespace

from aftercall.cli import gauges
from aftercall.consumers import observer
from aftercall.consumers.intake import turns


def test_lanes_add_up_and_share_one_limit() -> None:
    """A tenant's grant is one for all of its lanes; tenants that are not told apart have theirs together."""
    observe = observer.PrometheusObserver(max_tenants=1)
    standings = [
        ("acme", turns.Standing(30.0, 5.0, 10.0, is_throttled=False)),
        ("acme", turns.Standing(20.0, 0.0, 10.0, is_throttled=True)),
        ("b", turns.Standing(1.0, 0.0, 3.0, is_throttled=False)),
        ("c", turns.Standing(2.0, 0.0, 4.0, is_throttled=False)),
    ]
    backlog = SimpleNamespace(n_waiting=0, standings=lambda: standings)
    poller = SimpleNamespace(oldest_unfinished_age_s=lambda: 0.0, n_paused=dict)

    gauges.Gauges(observe, typing.cast("typing.Any", backlog), typing.cast("typing.Any", poller)).refresh(n_windows=0)

    shown = observe.exposition().decode()
    assert 'aftercall_intake_waiting_audio_seconds{tenant="acme"} 50.0' in shown
    assert 'aftercall_intake_throttled{tenant="acme"} 1.0' in shown
    granted = [line.split("{")[1] for line in shown.splitlines() if line.startswith("aftercall_intake_grant_audio")]
    assert ['tenant="acme"} 10.0', 'tenant="other"} 7.0'] == granted
