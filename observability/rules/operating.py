"""Whether the operator does its work: looks at pools, holds its Lease, and keeps consumers in grants."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.rules import foreign, work
from observability.rules.groups import Alert, Group, Record, Severity, promql

AGE = "aftercall:reconcile_age_seconds"
"""Seconds since the last look at a pool that came to its end."""

_REPORTING = f"sum by (namespace, pool, pod) (increase({metrics.REPORTS_SENT.name}[10m])) > 0"

GROUPS = (
    Group(
        "aftercall-operator",
        (
            Record(AGE, f"time() - max by (namespace, pool) ({metrics.OPERATOR_LAST_RECONCILE.name} > 0)"),
            Alert(
                "AftercallOperatorStale",
                promql(f"""
                    {AGE} > 120
                    or time() - max by (namespace)
                      ({metrics.OPERATOR_LAST_LIST.name}{{kind="transcriptionpools"}}) > 300
                      unless on (namespace) {metrics.OPERATOR_LAST_RECONCILE.name}
                """),
                "5m",
                Severity.PAGE,
                f"{work.POOL}: the operator has not looked at it for {{{{ $value | humanizeDuration }}}}",
                "It looks every five seconds. Meanwhile replicas stay as they are, whatever arrives. Where no pool is"
                " named, it has never been able to list them.",
            ),
            Alert(
                "AftercallOperatorListsFailing",
                f"time() - max by (namespace, kind) ({metrics.OPERATOR_LAST_LIST.name}) > 300",
                "5m",
                Severity.TICKET,
                "The operator of {{ $labels.namespace }} cannot list {{ $labels.kind }}",
                "It asks every twenty seconds, and was last answered {{ $value | humanizeDuration }} ago. One that has"
                " never read them all follows no pool, and answers no consumer.",
            ),
            Alert(
                "AftercallOperatorGone",
                promql(f"""
                    (
                      count by (namespace) ({_REPORTING})
                      or count by (namespace) (max_over_time({foreign.UP}{{component="operator"}}[1d]))
                    )
                    unless on (namespace) {foreign.UP}{{component="operator"}} == 1
                """),
                "5m",
                Severity.PAGE,
                "No operator runs in {{ $labels.namespace }}",
                "Consumers report to one, or there was one today. Nothing scales, and a pool that sleeps does not wake."
                " Grants last a quarter of an hour from its last answer; then tenants with limits get a hundredth of"
                " them. The expression counts the consumers that report, {{ $value }}, or else the operators of today.",
            ),
            Alert(
                "AftercallOperatorWithoutLease",
                f'max by (namespace) ({metrics.OPERATOR_LEASE.name}{{component="operator"}}) == 0',
                "5m",
                Severity.TICKET,
                "The operator of {{ $labels.namespace }} does not hold its Lease",
                "Without it, it issues no grants. Another holds the Lease, or the API server lets nobody renew it.",
            ),
            Alert(
                "AftercallGrantLeaseRunningOut",
                promql(f"""
                    min by (namespace, pool) (
                      {metrics.LEASE_LEFT.name} and on (namespace, pod) ({_REPORTING})
                    ) < 300
                """),
                "3m",
                Severity.PAGE,
                f"{work.POOL}: consumers' grants end in {{{{ $value | humanizeDuration }}}}",
                "Consumers report, and get no new grants. Once the old ones have ended, tenants with limits get a"
                " hundredth of them.",
            ),
            Alert(
                "AftercallScalingConflict",
                f'max by (namespace, pool) ({work.CONDITION}{{type="ScalingConflict",status="True"}}) == 1',
                "5m",
                Severity.TICKET,
                f"{work.POOL}: somebody else scales what the operator scales",
                "The operator writes nothing for as long as an HPA or another pool has the same target.",
            ),
            Alert(
                "AftercallPoolInvalid",
                f'max by (namespace, pool) ({work.CONDITION}{{type="Valid",status="False"}}) == 1',
                "5m",
                Severity.TICKET,
                f"{work.POOL}: its specification cannot be followed",
                "The operator leaves the pool as it is. Its condition Valid says what is wrong.",
            ),
            Alert(
                "AftercallTenantsBroken",
                f'max by (namespace) ({metrics.OPERATOR_TENANTS.name}{{ready!~"(?i)true"}}) > 0',
                "5m",
                Severity.TICKET,
                "{{ $value }} tenants of {{ $labels.namespace }} are left out",
                "Their Tenant resources cannot be compiled; their recordings are parked until they are mended.",
            ),
        ),
    ),
)
