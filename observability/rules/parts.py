"""Whether parts are there, whatever they do: all that answer Prometheus, and the API to whoever asks it."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.rules import foreign
from observability.rules.groups import Alert, Group, Severity, promql

_ALONE = f'{foreign.UP}{{component=~"relay|api|diarization"}}'
"""Parts of which nothing else tells that they are gone, as the operator does of a pool's."""
_FAILED = f'{metrics.API_REQUESTS.name}{{status=~"5..",status!="504"}}'
"""But for those whose work is not done yet: a pool that is late has alerts of its own."""
_ANSWERED = f'{metrics.API_REQUESTS.name}{{status!~"499|504"}}'
"""But for those whose callers went away first, or whose work is not done yet."""

GROUPS = (
    Group(
        "aftercall-parts",
        (
            Alert(
                "AftercallPartDown",
                promql(f"""
                    {foreign.UP}{{component=~"consumers|relay|operator|api|diarization"}} == 0
                """),
                "10m",
                Severity.TICKET,
                "{{ $labels.component }} {{ $labels.pod }} of {{ $labels.namespace }} does not answer Prometheus",
                "Its metrics are missing from every board and alert. It may work on all the same.",
            ),
            Alert(
                "AftercallPartGone",
                promql(f"""
                    count by (namespace, component) (max_over_time({_ALONE}[1d]) == 1)
                    unless on (namespace, component) max_over_time({_ALONE}[10m]) == 1
                """),
                "5m",
                Severity.PAGE,
                "Nothing of {{ $labels.component }} answers in {{ $labels.namespace }}",
                "There was some of it within the last day ({{ $value }} pods), and none is up. Without the API uploads"
                " and callbacks are refused, without the relay no tenant is told of anything, and without diarization"
                " recordings of one channel wait.",
            ),
            Alert(
                "AftercallApiFailing",
                promql(f"""
                    sum by (namespace) (rate({_FAILED}[3m]))
                    / (sum by (namespace) (rate({_ANSWERED}[3m])) > 0)
                    > 0.05
                    and sum by (namespace) (increase({_FAILED}[10m])) >= 10
                    or
                    sum by (namespace) (increase({_FAILED}[30m])) > 2.5
                    and on (namespace) sum by (namespace) (increase({_FAILED}[10m])) > 0
                    and on (namespace) sum by (namespace) (rate({_FAILED}[30m]))
                      == on (namespace) sum by (namespace) (rate({_ANSWERED}[30m]))
                """),
                "10m",
                Severity.PAGE,
                "The API of {{ $labels.namespace }} answers requests by errors",
                "More than one in twenty, or all of those that have come within half an hour. Uploads,"
                " callbacks and questions for transcripts are lost unless whoever sent them tries again.",
            ),
        ),
    ),
)
