"""Whether the speech backend of a pool answers."""

from __future__ import annotations

import textwrap

from aftercall.contracts import metrics
from observability.rules import foreign, work
from observability.rules.groups import Alert, Group, Record, Severity, promql

_ABSENT = "aftercall:speech_absent_seconds"
"""Since when speech replicas are wanted and none answers, for up to four hours; none after that."""
_ASLEEP = promql(f"""
    (
      {work.fleet_of(metrics.OPERATOR_WANTED, "speech")} == 0
      unless on (namespace, pool) {work.BACKLOG} > 0
    )
""")
"""With work, the operator wants one at least. Who is at none for all that is paused, or somebody else's to wake."""
_NEW = promql(f"""
    (
      {work.COLD_START}
      unless on (namespace, pool)
        max by (namespace, pool) (max_over_time({metrics.OPERATOR_COLD_START.name}[15m] offset 5m))
    )
""")
"""A pool that has been followed for less than 5 min; an operator that was away for less than 15 makes none new."""


def _seconds_since(*found: str) -> str:
    """Return for how many seconds none of these has been found of a pool; nothing where that is over four hours."""
    either = textwrap.indent("\nor ".join(found), "  ")
    return f"time() - max by (namespace, pool) (max_over_time(timestamp(\n{either}\n)[4h:1m]))"


_GROUP = Group(
    "aftercall-speech-health",
    (
        Record(
            _ABSENT,
            _seconds_since(_ASLEEP, _NEW, f'max by (namespace, pool) ({foreign.UP}{{component="speech"}}) == 1'),
        ),
        Record(work.WANTED, _seconds_since(_ASLEEP, _NEW)),
        Alert(
            "AftercallSpeechDown",
            work.unless_waking(f'avg by (namespace, pool) ({metrics.SPEECH_DOWN.name}{{component="consumers"}}) > 0.5'),
            "5m",
            Severity.PAGE,
            f"{work.POOL}: the speech backend does not answer",
            "{{ $value | humanizePercentage }} of the consumers take it for down. Recordings wait where they are, and"
            " none is lost.",
        ),
        Alert(
            "AftercallSpeechServersAbsent",
            promql(f"""
                {work.fleet_of(metrics.OPERATOR_WANTED, "speech")} > 0
                unless on (namespace, pool) sum by (namespace, pool) ({foreign.UP}{{component="speech"}}) > 0
                unless on (namespace, pool)
                  {_ABSENT} <= 2 * {work.COLD_START}
            """),
            "5m",
            Severity.PAGE,
            f"{work.POOL}: no speech server can be seen",
            "{{ $value }} replicas are wanted, and not one has answered Prometheus for twice as long as one takes to"
            " start.",
        ),
        Alert(
            "AftercallSpeechFailing",
            promql(f"""
                sum by (namespace, pool) (rate({metrics.SPEECH_CALLS.name}{{result=~"failed|refused"}}[15m]))
                / (sum by (namespace, pool) (rate({metrics.SPEECH_CALLS.name}{{result!="busy"}}[15m])) > 0)
                > 0.1
                and sum by (namespace, pool)
                  (increase({metrics.SPEECH_CALLS.name}{{result=~"failed|refused"}}[15m])) >= 10
            """),
            "15m",
            Severity.TICKET,
            f"{work.POOL}: {{{{ $value | humanizePercentage }}}} of windows fail at the speech backend",
            "Those that fail are asked again, up to three times; those that are refused make their recording a dead"
            " letter.",
        ),
    ),
)

GROUPS = (_GROUP,)
