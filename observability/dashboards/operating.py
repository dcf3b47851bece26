"""What the operator sees, decides and does."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.dashboards.panels import (
    NAMESPACES,
    TENANTS,
    TOP,
    WINDOW,
    Form,
    Panel,
    Query,
    Row,
    of_pools,
    of_top,
    top,
)
from observability.rules import operating

DESCRIPTION = "How many replicas does the operator want and why, is it heard, and does it keep limits?"

_FLEET = "{{namespace}}/{{pool}} {{fleet}}"


def _max(by: str, series: str) -> str:
    return f"max by ({by}) ({series})"


def _in_namespaces(metric: metrics.Metric, more: str = "", *, suffix: str = "") -> str:
    return f"{metric.name}{suffix}{{{NAMESPACES}{more}}}"


_LIMIT, _GRANTED = (
    _max("namespace, tenant", f"{metric.name}{{{TENANTS}}}")
    for metric in (metrics.OPERATOR_LIMIT, metrics.OPERATOR_GRANTED)
)

ROWS = (
    Row(
        "Replicas",
        (
            Panel(
                "Wanted and real",
                "Replicas that the operator last decided on, and those that answer. Between the two lies a cold start;"
                " a gap that stays is GPUs that are not there, or pods that do not start.",
                "short",
                (
                    Query(_max("namespace, pool, fleet", of_pools(metrics.OPERATOR_WANTED)), f"{_FLEET} wanted"),
                    Query(_max("namespace, pool, fleet", of_pools(metrics.OPERATOR_READY)), f"{_FLEET} real"),
                ),
            ),
            Panel(
                "Decisions, by reason",
                "Why the last decisions came out as they did, each second. docs/scaling.md explains every reason;"
                " UnknownBacklog and UnknownReplicas lower nothing.",
                "ops",
                (
                    Query(
                        "sum by (namespace, pool, fleet, reason)"
                        f" (rate({of_pools(metrics.OPERATOR_DECISIONS)}[{WINDOW}]))",
                        f"{_FLEET} {{{{reason}}}}",
                    ),
                ),
                Form.STACK,
            ),
            Panel(
                "Changes in the time shown",
                "How often replicas were raised and lowered. Many of both is a pool that swings: look at its"
                " stabilisation and cold start.",
                "short",
                (
                    Query(
                        "sum by (namespace, pool, fleet, direction)"
                        f" (increase({of_pools(metrics.OPERATOR_CHANGES)}[$__range]))",
                        f"{_FLEET} {{{{direction}}}}",
                    ),
                ),
                Form.TABLE,
            ),
            Panel(
                "Conditions of pools",
                "1 for the status that each condition of a pool has. All is well with Ready, BacklogKnown,"
                " ReplicasAvailable and Valid at True, and ScalingConflict at False.",
                "short",
                (
                    Query(
                        _max("namespace, pool, type, status", of_pools(metrics.OPERATOR_CONDITION)) + " == 1",
                        "{{namespace}}/{{pool}} {{type}} is {{status}}",
                    ),
                ),
                Form.TABLE,
            ),
        ),
    ),
    Row(
        "What it decides from",
        (
            Panel(
                "Backlog",
                "Audio that waits, with consumers or unread. A lower bound while BacklogKnown is not True.",
                "s",
                (Query(_max("namespace, pool", of_pools(metrics.OPERATOR_BACKLOG)), "{{namespace}}/{{pool}}"),),
            ),
            Panel(
                "Records that nobody has read",
                "Kafka's own count of what lies behind every consumer's position.",
                "short",
                (Query(_max("namespace, pool", of_pools(metrics.OPERATOR_UNREAD)), "{{namespace}}/{{pool}}"),),
            ),
            Panel(
                "Arriving, and what replicas can do",
                "Seconds of audio each second: what arrives and limits let through, and what the replicas that answer"
                " are believed to do.",
                "short",
                (
                    Query(
                        _max("namespace, pool", of_pools(metrics.OPERATOR_ARRIVING)),
                        "arriving at {{namespace}}/{{pool}}",
                    ),
                    Query(
                        f"{_max('namespace, pool, fleet', of_pools(metrics.OPERATOR_CAPACITY))}"
                        " * on (namespace, pool, fleet) "
                        f"{_max('namespace, pool, fleet', of_pools(metrics.OPERATOR_READY))}",
                        f"{_FLEET} can do",
                    ),
                ),
            ),
            Panel(
                "Until nothing waits, against the promise",
                "How long it takes to work off what is due within limits, and in how long transcripts are due. Somebody"
                " is paged when the first stays above the second.",
                "s",
                (
                    Query(
                        _max("namespace, pool", of_pools(metrics.OPERATOR_DRAIN)), "{{namespace}}/{{pool}} drains in"
                    ),
                    Query(
                        _max("namespace, pool", of_pools(metrics.OPERATOR_PROMISE)), "{{namespace}}/{{pool}} promises"
                    ),
                ),
            ),
        ),
    ),
    Row(
        "Whether it works",
        (
            Panel(
                "Age of the last look",
                "Seconds since the operator's last look at each pool that came to its end, of which there is one every"
                " five, and since its last list of all pools and of all tenants, one every twenty.",
                "s",
                (
                    Query(of_pools(operating.AGE), "{{namespace}}/{{pool}}"),
                    Query(
                        f"time() - {_max('namespace, kind', _in_namespaces(metrics.OPERATOR_LAST_LIST))}",
                        "{{namespace}} list of {{kind}}",
                    ),
                ),
                width=8,
                warn_at=120,
            ),
            Panel(
                "Time of a look",
                "How long nearly all looks at a pool take, from reading Kafka and the API server to writing.",
                "s",
                (
                    Query(
                        "histogram_quantile(0.99, sum by (le) (rate("
                        f"{_in_namespaces(metrics.OPERATOR_RECONCILE_SECONDS, suffix='_bucket')}[{WINDOW}])))",
                        "p99",
                    ),
                ),
                width=8,
            ),
            Panel(
                "Lease held",
                "1 while an operator holds the Lease. Without it no grants are issued.",
                "short",
                (Query(_max("namespace", _in_namespaces(metrics.OPERATOR_LEASE)), "{{namespace}}"),),
                width=8,
                bounds=(0, 1),
            ),
            Panel(
                "Reports of consumers",
                "How reports were answered, as the operator counts them. Anything but answered, beyond a restart, is"
                " consumers without new grants.",
                "ops",
                (Query(f"sum by (result) (rate({_in_namespaces(metrics.OPERATOR_REPORTS)}[{WINDOW}]))", "{{result}}"),),
            ),
            Panel(
                "Time of an answer",
                "How long nearly all reports take to be answered.",
                "s",
                (
                    Query(
                        "histogram_quantile(0.99, sum by (le) (rate("
                        f"{_in_namespaces(metrics.OPERATOR_REPORT_SECONDS, suffix='_bucket')}[{WINDOW}])))",
                        "p99",
                    ),
                ),
                warn_at=0.02,
            ),
        ),
    ),
    Row(
        "Limits",
        (
            Panel(
                "Limits and grants",
                "What each tenant may begin each second, and what consumers may be using of it. The second never goes"
                f" above the first. The {TOP} largest limits are shown; choose tenants above to see others.",
                "short",
                (
                    Query(top(_LIMIT), "limit of {{namespace}}/{{tenant}}"),
                    Query(of_top(_GRANTED, _LIMIT), "granted to {{namespace}}/{{tenant}}"),
                ),
            ),
            Panel(
                "Grants still good for",
                "Seconds until a consumer's last grants end, the shortest of each pool. At 0 tenants with limits get a"
                " hundredth of them. A consumer that reports to nobody has 0.",
                "s",
                (
                    Query(
                        f"min by (namespace, pool) ({of_pools(metrics.LEASE_LEFT, component='consumers')})",
                        "{{namespace}}/{{pool}}",
                    ),
                ),
            ),
            Panel(
                "Reports, as consumers see them",
                "What came of consumers' reports to the operator.",
                "ops",
                (
                    Query(
                        f"sum by (namespace, pool, result) (rate({of_pools(metrics.REPORTS_SENT)}[{WINDOW}]))",
                        "{{namespace}}/{{pool}} {{result}}",
                    ),
                ),
            ),
            Panel(
                "Tenants",
                "Tenant resources that are compiled for consumers, and those that are left out for a mistake.",
                "short",
                (Query(f"max by (ready) ({_in_namespaces(metrics.OPERATOR_TENANTS)})", "ready: {{ready}}"),),
            ),
        ),
    ),
)
