"""Whether calls get their transcripts in time, and what stands in the way."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.dashboards.panels import (
    POOLS,
    WINDOW,
    Form,
    Panel,
    Query,
    Row,
    of_pools,
    of_tenants,
    parts,
    per_second,
)
from observability.rules import objectives, work

DESCRIPTION = "Are transcripts in time, does any call end without one, and does what waits go down?"

_LATE, _DEAD = objectives.LATE, objectives.DEAD


def _in_time(over: str) -> str:
    late = of_pools(metrics.POOL_PROMISES, kept="false")
    counted = f'{metrics.POOL_PROMISES.name}{{{POOLS},kept=~"true|false"}}'
    return f"1 - sum(increase({late}[{over}])) / (sum(increase({counted}[{over}])) > 0)"


def _quantile(q: float) -> Query:
    buckets = per_second("le", parts(metrics.EVENT_TO_TRANSCRIPT_SECONDS)[0])
    return Query(f"histogram_quantile({q}, {buckets})", f"p{q * 100:g}", exemplars=True)


ROWS = (
    Row(
        "Now",
        (
            Panel(
                "In time",
                "Share of the calls of the time shown whose transcript came within the promised time of their event."
                " What waited for its tenant's own limit counts neither way. The objective is 99 %.",
                "percentunit",
                (Query(_in_time("$__range"), "in time"),),
                Form.NUMBER,
                width=4,
                bounds=(None, 1),
            ),
            Panel(
                "Audio waiting",
                "Audio of the tenants chosen that was read from topics and waits for its turn. Compare it with what is"
                " done each second.",
                "s",
                (Query(f"sum({of_tenants(metrics.WAITING_AUDIO)})", "waiting"),),
                Form.NUMBER,
                width=4,
            ),
            Panel(
                "Until nothing is due",
                "How long it takes to work off what is due, as far as limits let it through, at what arrives and what"
                " answers now. No value that is a number: never, or the backlog is not known.",
                "s",
                (Query(f"max({of_pools(metrics.OPERATOR_DRAIN)})", "drain"),),
                Form.NUMBER,
                width=4,
            ),
            Panel(
                "Dead in the time shown",
                "Recordings that ended without a transcript through our fault. Each wants to be looked at and replayed:"
                " `aftercall dlq list`.",
                "short",
                (Query(f"sum(increase({of_pools(metrics.JOBS, outcome='dead')}[$__range]))", "dead"),),
                Form.NUMBER,
                width=4,
                warn_at=1,
            ),
            Panel(
                "Speech backend away",
                "Share of consumers that take the speech backend for down. While it is, recordings wait and none is"
                " lost.",
                "percentunit",
                (Query(f"avg({of_pools(metrics.SPEECH_DOWN, component='consumers')})", "away"),),
                Form.NUMBER,
                width=4,
                bounds=(0, 1),
                warn_at=0.5,
            ),
            Panel(
                "Recordings open",
                "Recordings that are being worked on at this moment, over all consumers.",
                "short",
                (Query(f"sum({of_pools(metrics.JOBS_RUNNING)})", "open"),),
                Form.NUMBER,
                width=4,
            ),
        ),
    ),
    Row(
        "Objectives",
        (
            Panel(
                "How fast the budget for late calls goes",
                "1 spends the month's budget (1 % of calls late) in a month. Somebody is paged above 14.4 over one hour"
                " or 6 over six hours.",
                "short",
                (
                    *(
                        Query(
                            f"{of_pools(_LATE.ratio(window))} / {_LATE.budget:g}",
                            f"{{{{namespace}}/{{pool}}}} over {window}",
                        )
                        for window in ("1h", "6h")
                    ),
                ),
                warn_at=6,
            ),
            Panel(
                "How fast the budget for dead calls goes",
                "1 spends the month's budget (0.1 % of calls dead) in a month. Somebody is paged above 14.4 over one"
                " hour or 6 over six hours.",
                "short",
                (
                    *(
                        Query(
                            f"{of_pools(_DEAD.ratio(window))} / {_DEAD.budget:g}",
                            f"{{{{namespace}}/{{pool}}}} over {window}",
                        )
                        for window in ("1h", "6h")
                    ),
                ),
                warn_at=6,
            ),
            Panel(
                "From event to transcript",
                "How long calls took from their event to their outcome: half of them less than p50, nearly all less"
                " than p99. Dots are single calls; click one for its trace.",
                "s",
                (_quantile(0.5), _quantile(0.95), _quantile(0.99)),
            ),
            Panel(
                "Outcomes",
                "Recordings that ended each second: with a transcript (canonical), refused since nothing in them can be"
                " transcribed (rejected), or failed through our fault (dead).",
                "ops",
                (Query(per_second("outcome", of_pools(metrics.JOBS)), "{{outcome}}"),),
                Form.STACK,
            ),
        ),
    ),
    Row(
        "Work",
        (
            Panel(
                "Audio arriving, and done",
                "Seconds of audio each second: what arrives and limits let through, and what becomes transcripts. While"
                " the first is above the second, the backlog grows. What is done is of the tenants chosen.",
                "short",
                (
                    Query(
                        f"max by (namespace, pool) ({of_pools(metrics.OPERATOR_ARRIVING)})",
                        "arriving at {{namespace}}/{{pool}}",
                    ),
                    Query(f"sum by (namespace, pool) ({of_tenants(work.DONE)})", "done by {{namespace}}/{{pool}}"),
                ),
            ),
            Panel(
                "Backlog by pool",
                "Audio that waits: with consumers, and on topics where nobody has read it yet.",
                "s",
                (Query(f"max by (namespace, pool) ({of_pools(metrics.OPERATOR_BACKLOG)})", "{{namespace}}/{{pool}}"),),
            ),
            Panel(
                "Attempts that ended without an outcome",
                "They are tried again by themselves. The reason names what failed; `claimed` is two consumers that met"
                " at one recording, after a rebalance.",
                "ops",
                (Query(per_second("reason", of_pools(metrics.RETRIES)), "{{reason}}"),),
            ),
            Panel(
                "Age of the oldest unfinished record",
                "How long the most stuck partition of each consumer has stood at its oldest unfinished record. What"
                " is older than the topics' retention is deleted by Kafka: stay far below it.",
                "s",
                (Query(f"max by (namespace, pool, pod) ({of_pools(metrics.OLDEST_UNFINISHED)})", "{{pod}}"),),
                warn_at=86_400,
            ),
            Panel(
                "Records read, and dead letters",
                "Records that were read from topics each second, and those that announce nothing and were put among the"
                " dead letters.",
                "ops",
                (
                    Query(per_second("topic", of_pools(metrics.RECORDS)), "{{topic}}"),
                    Query(per_second("reason", of_pools(metrics.DEAD_LETTERS)), "dead letter: {{reason}}"),
                ),
            ),
            Panel(
                "Deliveries",
                "Attempts to tell tenants by webhook, by what came of them, and failures of ClickHouse. What fails is"
                " tried again for days; transcription does not wait for it.",
                "ops",
                (
                    Query(
                        f'sum by (verdict) (rate({metrics.WEBHOOKS.name}{{namespace=~"$namespace"}}[{WINDOW}]))',
                        "webhook {{verdict}}",
                    ),
                    Query(
                        f'sum by (sink) (rate({metrics.RELAY_FAILURES.name}{{namespace=~"$namespace"}}[{WINDOW}]))',
                        "{{sink}} failed",
                    ),
                ),
            ),
            Panel(
                "Requests to the API",
                "Requests answered each second, by their status: 4xx are their senders' mistakes and limits, 5xx are"
                " ours, and a 499 went away before its answer.",
                "ops",
                (
                    Query(
                        f'sum by (status) (rate({metrics.API_REQUESTS.name}{{namespace=~"$namespace"}}[{WINDOW}]))',
                        "{{status}}",
                    ),
                ),
                Form.STACK,
            ),
        ),
    ),
)
