"""Whether what was heard arrives: dead letters, and what the relay carries to ClickHouse and to tenants' endpoints."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.rules.groups import Alert, Group, Severity, promql

_HOOKS = metrics.WEBHOOKS.name

GROUPS = (
    Group(
        "aftercall-dead-letters",
        (
            Alert(
                "AftercallCallsDied",
                f'sum by (namespace, pool, reason) (increase({metrics.JOBS.name}{{outcome="dead"}}[1h])) > 0',
                "0m",
                Severity.TICKET,
                "Pool {{ $labels.pool }} of {{ $labels.namespace }}: a recording is dead ({{ $labels.reason }})",
                "{{ printf `%.0f` $value }} in the last hour ended without a transcript through our fault, and wait for"
                " somebody to replay them.",
            ),
            Alert(
                "AftercallRecordsUnreadable",
                f"sum by (namespace, pool, reason) (increase({metrics.DEAD_LETTERS.name}[1h])) > 0",
                "0m",
                Severity.TICKET,
                "Pool {{ $labels.pool }} of {{ $labels.namespace }}: records announce nothing ({{ $labels.reason }})",
                "{{ printf `%.0f` $value }} records of the last hour are dead letters: an upstream service publishes"
                " what is no event, or names what it may not.",
            ),
        ),
    ),
    Group(
        "aftercall-relay",
        (
            Alert(
                "AftercallWebhookEndpointDead",
                f'sum by (namespace, verdict) (increase({_HOOKS}{{verdict=~"disabled|given_up"}}[1h])) > 0',
                "0m",
                Severity.TICKET,
                "A tenant's webhook endpoint of {{ $labels.namespace }} is dead ({{ $labels.verdict }})",
                "{{ printf `%.0f` $value }} outcomes of the last hour were not told: the endpoint has answered 410, or"
                " nothing of use for three days. The relay's log names the tenant.",
            ),
            Alert(
                "AftercallWebhooksFailing",
                promql(f"""
                    sum by (namespace) (rate({_HOOKS}{{verdict=~"later|given_up"}}[30m]))
                    / (sum by (namespace) (rate({_HOOKS}{{verdict!="deferred"}}[30m])) > 0)
                    > 0.5
                    and sum by (namespace) (increase({_HOOKS}{{verdict=~"later|given_up"}}[30m])) >= 10
                """),
                "15m",
                Severity.TICKET,
                "{{ $value | humanizePercentage }} of webhook attempts of {{ $labels.namespace }} fail",
                "They are tried again, ten times over 75 hours. Where all tenants are concerned, the way out of the"
                " cluster is.",
            ),
            Alert(
                "AftercallSinkFailing",
                f"sum by (namespace, sink) (increase({metrics.RELAY_FAILURES.name}[15m])) > 0",
                "30m",
                Severity.TICKET,
                "{{ $labels.sink }} takes nothing from the relay of {{ $labels.namespace }}",
                "Rows wait on the topic of transcripts, and are lost only past its retention. Transcripts are not late"
                " through it.",
            ),
        ),
    ),
)
