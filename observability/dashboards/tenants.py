"""What each tenant waits for, gets, may have, and costs."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.dashboards.panels import (
    TENANTS,
    TOP,
    Form,
    Panel,
    Query,
    Row,
    of_pools,
    of_tenants,
    of_top,
    per_second,
    top,
)
from observability.rules import work

DESCRIPTION = (
    "Who waits, who is held back by an own limit, who gets which share, and what that costs?"
    f" Each picture shows the {TOP} largest; choose tenants above to see others."
)

_HOURS = f"sum by (tenant) (increase({of_tenants(metrics.AUDIO_SECONDS)}[$__range])) / 3600"
_LATE = of_tenants(metrics.PROMISES, kept="false")
_COUNTED = f'{metrics.PROMISES.name}{{{TENANTS},pool=~"$pool",kept=~"true|false"}}'


def _of_operator(metric: metrics.Metric) -> str:
    """Return what the operator says of tenants: a limit is one over all pools of a namespace."""
    return f"max by (namespace, tenant) ({metric.name}{{{TENANTS}}})"


_LIMIT = _of_operator(metrics.OPERATOR_LIMIT)


ROWS = (
    Row(
        "Waiting",
        (
            Panel(
                "Audio waiting",
                "Audio of each tenant that was read and waits for its turn. A tenant that is held back by its own limit"
                " may have much of it.",
                "s",
                (Query(top(f"sum by (tenant) ({of_tenants(work.WAITING)})"), "{{tenant}}"),),
                Form.STACK,
            ),
            Panel(
                "Held back by an own limit",
                "1 while work of the tenant waits for the tenant's own limit. Then more replicas would not help it, and"
                " nothing was promised.",
                "short",
                (Query(top(f"max by (tenant) ({of_tenants(work.THROTTLED)})"), "{{tenant}}"),),
                bounds=(0, 1),
            ),
            Panel(
                "Audio being worked on",
                "Audio of recordings that are open now. A tenant that waits, is not held back, and has nothing here is"
                " starved.",
                "s",
                (Query(top(f"sum by (tenant) ({of_tenants(work.RUNNING)})"), "{{tenant}}"),),
                Form.STACK,
            ),
            Panel(
                "Put aside",
                "Records put on the deferred topic (over_share: they come in their turn), or parked until something is"
                " changed (unknown_tenant and others).",
                "ops",
                (Query(per_second("why", of_pools(metrics.PARKED)), "{{why}}"),),
            ),
        ),
    ),
    Row(
        "Served",
        (
            Panel(
                "Share of what is done",
                "Which part of all audio that becomes transcripts is whose. Tenants that wait get shares by their"
                " weights.",
                "percentunit",
                (
                    Query(
                        top(
                            f"sum by (tenant) ({of_tenants(work.DONE)})"
                            f" / on () group_left () (sum({of_pools(work.DONE)}) > 0)"
                        ),
                        "{{tenant}}",
                    ),
                ),
                Form.STACK,
                bounds=(0, 1),
            ),
            Panel(
                "Audio done each second",
                "Seconds of audio that become transcripts each second.",
                "short",
                (Query(top(f"sum by (tenant) ({of_tenants(work.DONE)})"), "{{tenant}}"),),
            ),
            Panel(
                "Limit, and what is granted of it",
                "What a tenant may begin each second, and what consumers may be using of it. Granted is never above the"
                " limit; far below it while the tenant waits, and something is wrong.",
                "short",
                (
                    Query(top(_LIMIT), "limit of {{namespace}}/{{tenant}}"),
                    Query(
                        of_top(_of_operator(metrics.OPERATOR_GRANTED), _LIMIT), "granted to {{namespace}}/{{tenant}}"
                    ),
                    Query(
                        of_top(f"sum by (namespace, tenant) ({of_tenants(metrics.GRANT)})", _LIMIT),
                        "held for {{namespace}}/{{tenant}}",
                    ),
                ),
            ),
            Panel(
                "Late",
                "Share of each tenant's calls that came later than promised. What waited for the tenant's own limit"
                " does not count.",
                "percentunit",
                (
                    Query(
                        top(f"{per_second('tenant', _LATE)} / ({per_second('tenant', _COUNTED)} > 0)"),
                        "{{tenant}}",
                    ),
                ),
                bounds=(0, 1),
                warn_at=0.01,
            ),
        ),
    ),
    Row(
        "Cost",
        (
            Panel(
                "Hours of audio in the time shown",
                "One hour of a recording with two channels is two hours of audio: each channel is transcribed.",
                "h",
                (Query(_HOURS, "{{tenant}}"),),
                Form.TABLE,
            ),
            Panel(
                "Cost in the time shown",
                "Hours of audio times the price above, which is yours to set: what an hour of audio costs you in GPUs"
                " and all else.",
                "none",
                (Query(f"{_HOURS} * $price", "{{tenant}}"),),
                Form.TABLE,
            ),
        ),
    ),
)
