"""Where the time of a call goes, from its event to its transcript."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.dashboards.panels import POOLS, Form, Panel, Query, Row, mean, of_pools, parts, per_second
from observability.rules import speech

DESCRIPTION = "Where does the time go between a recording's event and its transcript? Dots lead to traces."


def _stage_quantile(q: float) -> Panel:
    buckets = per_second("le, stage", parts(metrics.STAGE_SECONDS)[0])
    return Panel(
        f"Stages, p{q * 100:g}",
        f"How long each stage of a call took, for all but the slowest {100 - q * 100:g} %. Decoding and hearing go on"
        " at the same time and are one stage; `speech` is one window at the backend. Dots are single calls.",
        "s",
        (Query(f"histogram_quantile({q}, {buckets})", "{{stage}}", exemplars=True),),
    )


def _quantile(q: float) -> Query:
    buckets = per_second("le", parts(metrics.EVENT_TO_TRANSCRIPT_SECONDS)[0])
    return Query(f"histogram_quantile({q}, {buckets})", f"p{q * 100:g}", exemplars=True)


def _mean_stage() -> str:
    _, total, count = parts(metrics.STAGE_SECONDS)
    return mean(per_second("stage", total), per_second("stage", count))


def _waited() -> str:
    """Return what of a call's time is in no stage; a window's time is within its call's decoding and hearing."""
    _, whole, ended = parts(metrics.EVENT_TO_TRANSCRIPT_SECONDS)
    stages = f'{metrics.STAGE_SECONDS.name}_sum{{{POOLS},stage!="speech"}}'
    _, _, begun = parts(metrics.STAGE_SECONDS, stage="fetch")
    return (
        mean(per_second("namespace, pool", whole), per_second("namespace, pool", ended))
        + " - "
        + mean(per_second("namespace, pool", stages), per_second("namespace, pool", begun))
    )


ROWS = (
    Row(
        "From event to transcript",
        (
            Panel(
                "From event to transcript",
                "Time from a recording's event to its outcome: waiting on the topic and for its turn, and the work"
                " itself. Dots are single calls; click one for its trace.",
                "s",
                (_quantile(0.5), _quantile(0.9), _quantile(0.95), _quantile(0.99)),
            ),
            Panel(
                "How calls spread",
                "How many calls took how long. A second band above the first is a group of calls that waits for"
                " something that others do not need.",
                "s",
                (
                    Query(
                        per_second("le", parts(metrics.EVENT_TO_TRANSCRIPT_SECONDS)[0]),
                        "{{le}}",
                        exemplars=True,
                    ),
                ),
                Form.HEAT,
                bounds=(None, None),
            ),
        ),
    ),
    Row(
        "By stage",
        (
            _stage_quantile(0.5),
            _stage_quantile(0.95),
            Panel(
                "Mean time of each stage",
                "What a call spends in each stage on average. What it spends nowhere here, it waited.",
                "s",
                (Query(_mean_stage(), "{{stage}}"),),
                Form.STACK,
            ),
            Panel(
                "Wait for its turn",
                "Time from event to outcome that is in no stage, on average: what waiting on topics, for a tenant's"
                " limit and for a free place took.",
                "s",
                (Query(_waited(), "{{namespace}}/{{pool}}"),),
                bounds=(None, None),
            ),
        ),
    ),
    Row(
        "At the speech backend",
        (
            Panel(
                "A window at the server",
                "Mean time of one window at a speech server, with its wait there. Triton and Ray alike, in seconds.",
                "s",
                (Query(of_pools(speech.REQUEST_SECONDS), "{{namespace}}/{{pool}} ({{server}})"),),
            ),
            Panel(
                "Of that, waiting for a batch or a replica",
                "Mean time that a window waits at the server before the engine has it. When it nears the time above,"
                " replicas are missing.",
                "s",
                (Query(of_pools(speech.QUEUE_SECONDS), "{{namespace}}/{{pool}} ({{server}})"),),
            ),
            Panel(
                "Windows in flight",
                "Windows that consumers have given to the backend and that are not answered yet.",
                "short",
                (Query(f"sum by (namespace, pool) ({of_pools(metrics.WINDOWS_IN_FLIGHT)})", "{{namespace}}/{{pool}}"),),
            ),
            Panel(
                "Windows decoded again",
                "Windows whose result failed a quality measure and that were decoded again at a higher temperature."
                " Each takes the backend's time once more.",
                "ops",
                (Query(per_second("flag", of_pools(metrics.WINDOWS_RETRIED)), "{{flag}}"),),
            ),
        ),
    ),
)
