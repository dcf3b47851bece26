"""Whether consumers get on with what they have."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.rules import work
from observability.rules.groups import Alert, Group, Severity, promql

_GROUP = Group(
    "aftercall-consumers",
    (
        Alert(
            "AftercallNoProgress",
            work.unless_waking(f"""
                (
                  sum by (namespace, pool) ({work.UNTHROTTLED}) > 0
                  or {work.BACKLOG}
                    and on (namespace, pool) max by (namespace, pool) ({metrics.OPERATOR_DRAIN.name}) > 0
                    and on (namespace, pool) sum by (namespace, pool) (increase({work.FAILED}[15m])) > 0
                )
                and on (namespace, pool) {work.ENDED} == 0
                and on (namespace, pool) {work.HEARD} == 0
            """),
            "15m",
            Severity.PAGE,
            f"{work.POOL}: recordings wait, and nothing is heard or has ended for a quarter of an hour",
            "{{ $value | humanizeDuration }} of audio wait within their tenants' limits, or to be tried again.",
        ),
        Alert(
            "AftercallConsumerHung",
            promql(f"""
                (
                  {work.unthrottled("namespace, pool, pod", metrics.WAITING_AUDIO.name)} > 0
                  or sum by (namespace, pool, pod) ({metrics.RUNNING_AUDIO.name}) > 0
                )
                and on (namespace, pool, pod)
                  {work.done("namespace, pool, pod", "5m")} == 0
                and on (namespace, pool, pod)
                  {work.heard("namespace, pool, pod")} == 0
                unless on (namespace, pool) (
                  sum by (namespace, pool) ({work.UNTHROTTLED}) > 0
                  unless on (namespace, pool) max_over_time({work.ENDED}[20m]) > 0
                  unless on (namespace, pool) max_over_time({work.HEARD}[20m]) > 0
                )
            """),
            "30m",
            Severity.PAGE,
            f"{work.POOL}: consumer {{{{ $labels.pod }}}} has work, and gets nowhere",
            "For half an hour it has heard nothing and ended nothing. What it holds goes to no other consumer.",
        ),
        Alert(
            "AftercallAttemptsFailing",
            promql(f"""
                sum by (namespace, pool, reason) (rate({work.FAILED}[15m]))
                / on (namespace, pool) group_left () (
                  sum by (namespace, pool) (rate({work.FAILED}[15m]))
                  + {work.done("namespace, pool", "15m")}
                  > 0
                )
                > 0.5
                and sum by (namespace, pool, reason) (increase({work.FAILED}[15m])) >= 10
            """),
            "15m",
            Severity.PAGE,
            f"{work.POOL}: recordings are begun again and again ({{{{ $labels.reason }}}})",
            "{{ $value | humanizePercentage }} of all attempts end so, with no outcome. What is tried again waits for"
            " up to five minutes each time, and is in no backlog of a consumer meanwhile.",
        ),
        Alert(
            "AftercallConsumerStuck",
            f"max by (namespace, pool, pod) ({metrics.OLDEST_UNFINISHED.name}) > 86400",
            "10m",
            Severity.PAGE,
            f"{work.POOL}: a partition has stood still for {{{{ $value | humanizeDuration }}}}",
            "Consumer {{ $labels.pod }} has not finished the oldest record of one of its partitions. What is older than"
            " the topic's retention (a week, where nobody has set it) is deleted by Kafka, read or not.",
        ),
        Alert(
            "AftercallPartitionsPaused",
            promql(f"""
                sum by (namespace, pool, topic) ({metrics.PAUSED.name}{{topic!~".*deferred.*"}}) > 0
            """),
            "30m",
            Severity.TICKET,
            f"{work.POOL}: {{{{ $value }}}} partitions of {{{{ $labels.topic }}}} are not read on",
            "Too much of what was read of them is unfinished. For half an hour consumers could not keep up with it.",
        ),
        Alert(
            "AftercallDecodeStrikes",
            promql(f"""
                sum by (namespace, pool) (
                  increase({metrics.RETRIES.name}{{reason=~"decoder_died|decoder_timeout"}}[1h])
                ) > 5
            """),
            "0m",
            Severity.TICKET,
            f"{work.POOL}: decoders have died {{{{ printf `%.0f` $value }}}} times in an hour",
            "Recordings end the process that decodes them, or hold it for longer than its limits. After three times a"
            " recording is dead. Somebody may be sending files that are made for that.",
        ),
        Alert(
            "AftercallTenantsFileInvalid",
            f"max by (namespace, component) ({metrics.TENANTS_INVALID.name}) == 1",
            "5m",
            Severity.TICKET,
            "The tenants file of {{ $labels.namespace }} has a mistake in it",
            "{{ $labels.component }} works on with the last good one: what was changed since then does not hold.",
        ),
        Alert(
            "AftercallIdentityConflict",
            f"sum by (namespace, pool) (increase({metrics.CONFLICTS.name}[1h])) > 0",
            "0m",
            Severity.TICKET,
            f"{work.POOL}: two recordings came under one identity",
            "The transcript of the second was put in quarantine: an upstream service uses an id twice.",
        ),
    ),
)

GROUPS = (_GROUP,)
