"""Whether what waits is worked off, by the pool and for each tenant."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.rules import foreign, work
from observability.rules.groups import Alert, Group, Severity, promql

_GROUP = Group(
    "aftercall-backlog",
    (
        Alert(
            "AftercallBacklogCannotDrain",
            work.unless_waking(f"""
                max by (namespace, pool) ({metrics.OPERATOR_DRAIN.name})
                > on (namespace, pool) max by (namespace, pool) ({metrics.OPERATOR_PROMISE.name})
            """),
            "15m",
            Severity.PAGE,
            f"{work.POOL}: what waits takes longer to work off than calls may take",
            "At what arrives and what answers now, it takes {{ $value | humanizeDuration }} until what is due is gone;"
            " the operator has had 15 minutes to add replicas. What waits for its tenant's own limit does not count.",
        ),
        Alert(
            "AftercallBacklogUnknown",
            f'max by (namespace, pool) ({work.CONDITION}{{type="BacklogKnown",status!="True"}}) == 1',
            "15m",
            Severity.TICKET,
            f"{work.POOL}: the operator does not know what waits",
            "It holds the replicas that there are, and lowers none, until it can read Kafka and hears from consumers.",
        ),
        Alert(
            "AftercallConsumersAbsent",
            promql(f"""
                (
                  max by (namespace, pool)
                    (quantile_over_time(0.5, {metrics.OPERATOR_READY.name}{{fleet="consumers"}}[10m])) == 0
                  or {work.BACKLOG}
                    unless on (namespace, pool)
                      max by (namespace, pool) (max_over_time({foreign.UP}{{component="consumers"}}[10m])) == 1
                )
                and on (namespace, pool) {work.BACKLOG} > 0
                unless on (namespace, pool) (
                  {work.fleet_of(metrics.OPERATOR_READY, "speech")} == 0
                  and on (namespace, pool) {work.fleet_of(metrics.OPERATOR_WANTED, "speech")}
                )
                unless on (namespace, pool) (
                  {work.fleet_of(metrics.OPERATOR_WANTED, "consumers")} > 0
                  unless on (namespace, pool) (
                    max by (namespace, pool)
                      (min_over_time({metrics.OPERATOR_WANTED.name}{{fleet="consumers"}}[10m])) > 0
                    and on (namespace, pool) max by (namespace, pool)
                      (max_over_time({metrics.OPERATOR_WANTED.name}{{fleet="consumers"}}[15m] offset 10m)) > 0
                  )
                )
            """),
            "10m",
            Severity.PAGE,
            f"{work.POOL}: work waits, and no consumer is ready",
            "For most of ten minutes or more none was: they do not start, die again and again, or their Deployment is"
            " gone.",
        ),
        Alert(
            "AftercallPoolSilent",
            promql(f"""
                (
                  last_over_time((
                    {work.BACKLOG}
                    and on (namespace, pool)
                      max by (namespace, pool) ({work.CONDITION}{{type="BacklogKnown",status="True"}}) == 1
                  )[1h:1m]) > 0
                  or {work.BACKLOG} > 0
                )
                and on (namespace, pool)
                  max by (namespace, pool) ({work.CONDITION}{{type="BacklogKnown",status!="True"}}) == 1
                unless on (namespace, pool) {work.ENDED} > 0
                unless on (namespace, pool) {work.HEARD} > 0
            """),
            "15m",
            Severity.PAGE,
            f"{work.POOL}: nobody knows what waits, and nothing ends",
            "{{ $value | humanizeDuration }} of audio wait, or did when that was last known, within the last hour."
            " Kafka is away, or consumers hang.",
        ),
        Alert(
            "AftercallReplicasMissing",
            promql(f"""
                max by (namespace, pool, fleet) (last_over_time({metrics.OPERATOR_WANTED.name}[2m]))
                - max by (namespace, pool, fleet) (last_over_time({metrics.OPERATOR_READY.name}[2m]))
                > 0
            """),
            "30m",
            Severity.TICKET,
            f"{work.POOL}: {{{{ $value }}}} replicas of {{{{ $labels.fleet }}}} do not come",
            "They were asked for half an hour ago or more, and do not answer: no GPU is free, or they do not start.",
        ),
        Alert(
            "AftercallTenantStarved",
            promql(f"""
                {work.LIVE} > 0
                unless on (namespace, pool, tenant) {work.RUNNING} > 0
                unless on (namespace, pool, tenant) {work.DONE} > 0
                unless on (namespace, pool)
                  max by (namespace, pool) ({metrics.OPERATOR_DRAIN.name})
                  > on (namespace, pool) max by (namespace, pool) ({metrics.OPERATOR_PROMISE.name})
                and on (namespace, pool) sum by (namespace, pool) ({work.DONE}) > 0
            """),
            "10m",
            Severity.PAGE,
            "Tenant {{ $labels.tenant }} of {{ $labels.namespace }} waits while others are served",
            "{{ $value | humanizeDuration }} of its live audio wait within its limit in pool {{ $labels.pool }}, and"
            " nothing of it has run there for ten minutes: the order between tenants does not hold.",
        ),
        Alert(
            "AftercallBulkStarved",
            promql(f"""
                {work.unthrottled("namespace, pool", f'{metrics.WAITING_AUDIO.name}{{lane="bulk"}}')} > 0
                unless on (namespace, pool)
                  sum by (namespace, pool) (max_over_time({metrics.RUNNING_AUDIO.name}{{lane="bulk"}}[15m])) > 0
                and on (namespace, pool) ({work.ENDED} > 0 or {work.HEARD} > 0)
            """),
            "6h",
            Severity.TICKET,
            f"{work.POOL}: bulk work has waited for six hours, and none of it has run",
            "{{ $value | humanizeDuration }} of bulk audio wait within their tenants' limits. Live work goes before it,"
            " and has left it no place.",
        ),
    ),
)

GROUPS = (_GROUP,)
