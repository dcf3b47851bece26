"""What waits, runs and ends, as alerts ask for it: series that are computed all along, and parts of expressions."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.rules.groups import Group, Record, promql

POOL = "Pool {{ $labels.pool }} of {{ $labels.namespace }}"

WAITING = "aftercall:waiting_audio_seconds"
RUNNING = "aftercall:running_audio_seconds"
THROTTLED = "aftercall:throttled"
DONE = "aftercall:done_audio_seconds:rate5m"
ENDED = "aftercall:ended:rate5m"
"""Records that were done with: outcomes, and work that had its outcome already when it was delivered again."""
HEARD = "aftercall:heard:rate5m"
"""Windows that the speech backend answered."""
UNTHROTTLED = "aftercall:waiting_unthrottled_audio_seconds"
"""Of what waits, that of tenants who are within their limits where it waits."""
LIVE = "aftercall:waiting_live_audio_seconds"
"""Of that, what came on a live lane: bulk waits for as long as live work fills every place, by design."""
WANTED = "aftercall:speech_wanted_seconds"
"""Since when speech replicas are wanted at all, whether they answer or not; nothing after four hours."""

CONDITION = metrics.OPERATOR_CONDITION.name
BACKLOG = f"max by (namespace, pool) ({metrics.OPERATOR_BACKLOG.name})"
COLD_START = f"max by (namespace, pool) ({metrics.OPERATOR_COLD_START.name})"
FAILED = f'{metrics.RETRIES.name}{{reason!~"claimed|recovered"}}'
"""Attempts that ended with nothing: that another consumer has a recording is no failure."""


def _by(labels: str, expr: str, how: str = "sum") -> str:
    return f"{how} by ({labels}) ({expr})"


def unthrottled(by: str, waiting: str) -> str:
    """Return of what waits that of tenants who are within their limits on the pod where it waits."""
    return _by(by, f"{waiting} unless on (namespace, pod, tenant) {metrics.THROTTLED.name} == 1")


def done(by: str, window: str) -> str:
    """Return how many records were done with, a second. After a rebalance a pool may go through old ones for long."""
    return _by(by, f"rate({metrics.JOBS.name}[{window}]) or rate({metrics.REPEATS.name}[{window}])")


def heard(by: str) -> str:
    """Return how many windows the speech backend answered, a second."""
    return _by(by, f'rate({metrics.SPEECH_CALLS.name}{{result="answered"}}[5m])')


def fleet_of(metric: metrics.Metric, fleet: str) -> str:
    """Return the operator's number of a pool's `speech` replicas or `consumers`."""
    return f'max by (namespace, pool) ({metric.name}{{fleet="{fleet}"}})'


def unless_waking(expr: str) -> str:
    """Let no pool be told of whose speech replicas do not answer, and could not yet.

    With a cold start of 12 min that is so for 24 from when they were wanted. Those that have gone away were wanted for
    longer, and a backend that is somebody else's has none.
    """
    waking = promql(f"""
        unless on (namespace, pool) (
          {fleet_of(metrics.OPERATOR_READY, "speech")} == 0
          and on (namespace, pool) {WANTED} <= 2 * {COLD_START}
        )
    """)
    return f"{promql(expr)}\n{waking}"


_GROUP = Group(
    "aftercall-work",
    (
        Record(WAITING, _by("namespace, pool, tenant", metrics.WAITING_AUDIO.name)),
        Record(RUNNING, _by("namespace, pool, tenant", metrics.RUNNING_AUDIO.name)),
        Record(THROTTLED, _by("namespace, pool, tenant", metrics.THROTTLED.name, "max")),
        Record(DONE, _by("namespace, pool, tenant", f"rate({metrics.AUDIO_SECONDS.name}[5m])")),
        Record(ENDED, done("namespace, pool", "5m")),
        Record(HEARD, heard("namespace, pool")),
        Record(UNTHROTTLED, unthrottled("namespace, pool, tenant", metrics.WAITING_AUDIO.name)),
        Record(LIVE, unthrottled("namespace, pool, tenant", f'{metrics.WAITING_AUDIO.name}{{lane="live"}}')),
    ),
)

GROUPS = (_GROUP,)
