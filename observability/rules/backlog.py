"""Whether what waits is worked off: by the pool, by its consumers and speech servers, and for each tenant."""

from __future__ import annotations

import textwrap

from aftercall.contracts import metrics
from observability.rules import foreign
from observability.rules.groups import Alert, Group, Record, Severity, promql

_POOL = "Pool {{ $labels.pool }} of {{ $labels.namespace }}"

WAITING = "aftercall:waiting_audio_seconds"
RUNNING = "aftercall:running_audio_seconds"
THROTTLED = "aftercall:throttled"
DONE = "aftercall:done_audio_seconds:rate5m"
ENDED = "aftercall:ended:rate5m"
"""Records that were done with: outcomes, and work that had its outcome already when it was delivered again."""
HEARD = "aftercall:heard:rate5m"
"""Windows that the speech backend answered."""
UNTHROTTLED = "aftercall:waiting_unthrottled_audio_seconds"
"""Of what waits, that of tenants who are within their limits where it waits."""
LIVE = "aftercall:waiting_live_audio_seconds"
"""Of that, what came on a live lane: bulk waits for as long as live work fills every place, by design."""
ABSENT = "aftercall:speech_absent_seconds"
"""Since when speech replicas are wanted and none answers, for up to four hours; none after that."""
WANTED = "aftercall:speech_wanted_seconds"
"""Since when speech replicas are wanted at all, whether they answer or not, likewise."""

_CONDITION = metrics.OPERATOR_CONDITION.name
_BACKLOG = f"max by (namespace, pool) ({metrics.OPERATOR_BACKLOG.name})"
_COLD_START = f"max by (namespace, pool) ({metrics.OPERATOR_COLD_START.name})"
_FAILED = f'{metrics.RETRIES.name}{{reason!~"claimed|recovered"}}'
"""Attempts that ended with nothing: that another consumer has a recording is no failure."""


def _by(labels: str, expr: str, how: str = "sum") -> str:
    return f"{how} by ({labels}) ({expr})"


def _unthrottled(by: str, waiting: str) -> str:
    return _by(by, f"{waiting} unless on (namespace, pod, tenant) {metrics.THROTTLED.name} == 1")


def _done(by: str, window: str) -> str:
    """Return how many records were done with, a second. After a rebalance a pool may go through old ones for long."""
    return _by(by, f"rate({metrics.JOBS.name}[{window}]) or rate({metrics.REPEATS.name}[{window}])")


def _heard(by: str) -> str:
    return _by(by, f'rate({metrics.SPEECH_CALLS.name}{{result="answered"}}[5m])')


def _fleet(metric: metrics.Metric, fleet: str) -> str:
    return f'max by (namespace, pool) ({metric.name}{{fleet="{fleet}"}})'


def _seconds_since(*found: str) -> str:
    """Return for how many seconds none of these has been found of a pool; nothing where that is over four hours."""
    either = textwrap.indent("\nor ".join(found), "  ")
    return f"time() - max by (namespace, pool) (max_over_time(timestamp(\n{either}\n)[4h:1m]))"


def _unless_waking(expr: str) -> str:
    """Let no pool be told of whose speech replicas do not answer, and could not yet.

    With a cold start of 12 min that is so for 24 from when they were wanted. Those that have gone away were wanted for
    longer, and a backend that is somebody else's has none.
    """
    waking = promql(f"""
        unless on (namespace, pool) (
          {_fleet(metrics.OPERATOR_READY, "speech")} == 0
          and on (namespace, pool) {WANTED} <= 2 * {_COLD_START}
        )
    """)
    return f"{promql(expr)}\n{waking}"


_ASLEEP = f"{_fleet(metrics.OPERATOR_WANTED, 'speech')} == 0"
_NEW = promql(f"""
    (
      {_COLD_START}
      unless on (namespace, pool)
        max by (namespace, pool) (max_over_time({metrics.OPERATOR_COLD_START.name}[15m] offset 5m))
    )
""")
"""A pool that has been followed for less than 5 min; an operator that was away for less than 15 makes none new."""

_SERIES = Group(
    "aftercall-work",
    (
        Record(WAITING, _by("namespace, pool, tenant", metrics.WAITING_AUDIO.name)),
        Record(RUNNING, _by("namespace, pool, tenant", metrics.RUNNING_AUDIO.name)),
        Record(THROTTLED, _by("namespace, pool, tenant", metrics.THROTTLED.name, "max")),
        Record(DONE, _by("namespace, pool, tenant", f"rate({metrics.AUDIO_SECONDS.name}[5m])")),
        Record(ENDED, _done("namespace, pool", "5m")),
        Record(HEARD, _heard("namespace, pool")),
        Record(UNTHROTTLED, _unthrottled("namespace, pool, tenant", metrics.WAITING_AUDIO.name)),
        Record(LIVE, _unthrottled("namespace, pool, tenant", f'{metrics.WAITING_AUDIO.name}{{lane="live"}}')),
    ),
)

_DRAINING = Group(
    "aftercall-backlog",
    (
        Alert(
            "AftercallBacklogCannotDrain",
            _unless_waking(f"""
                max by (namespace, pool) ({metrics.OPERATOR_DRAIN.name})
                > on (namespace, pool) max by (namespace, pool) ({metrics.OPERATOR_PROMISE.name})
            """),
            "15m",
            Severity.PAGE,
            f"{_POOL}: what waits takes longer to work off than calls may take",
            "At what arrives and what answers now, it takes {{ $value | humanizeDuration }} until what is due is gone;"
            " the operator has had 15 minutes to add replicas. What waits for its tenant's own limit does not count.",
        ),
        Alert(
            "AftercallBacklogUnknown",
            f'max by (namespace, pool) ({_CONDITION}{{type="BacklogKnown",status!="True"}}) == 1',
            "15m",
            Severity.TICKET,
            f"{_POOL}: the operator does not know what waits",
            "It holds the replicas that there are, and lowers none, until it can read Kafka and hears from consumers.",
        ),
        Alert(
            "AftercallConsumersAbsent",
            promql(f"""
                (
                  max by (namespace, pool)
                    (quantile_over_time(0.5, {metrics.OPERATOR_READY.name}{{fleet="consumers"}}[10m])) == 0
                  or {_BACKLOG}
                    unless on (namespace, pool)
                      max by (namespace, pool) (max_over_time({foreign.UP}{{component="consumers"}}[10m])) == 1
                )
                and on (namespace, pool) {_BACKLOG} > 0
                unless on (namespace, pool) (
                  {_fleet(metrics.OPERATOR_READY, "speech")} == 0
                  and on (namespace, pool) {_fleet(metrics.OPERATOR_WANTED, "speech")}
                )
                unless on (namespace, pool) (
                  {_fleet(metrics.OPERATOR_WANTED, "consumers")} > 0
                  unless on (namespace, pool) max by (namespace, pool)
                    (max_over_time({metrics.OPERATOR_WANTED.name}{{fleet="consumers"}}[15m] offset 10m)) > 0
                )
            """),
            "10m",
            Severity.PAGE,
            f"{_POOL}: work waits, and no consumer is ready",
            "For most of ten minutes or more none was: they do not start, die again and again, or their Deployment is"
            " gone.",
        ),
        Alert(
            "AftercallPoolSilent",
            promql(f"""
                (
                  last_over_time((
                    {_BACKLOG}
                    and on (namespace, pool)
                      max by (namespace, pool) ({_CONDITION}{{type="BacklogKnown",status="True"}}) == 1
                  )[1h:1m]) > 0
                  or {_BACKLOG} > 0
                )
                and on (namespace, pool)
                  max by (namespace, pool) ({_CONDITION}{{type="BacklogKnown",status!="True"}}) == 1
                unless on (namespace, pool) {ENDED} > 0
                unless on (namespace, pool) {HEARD} > 0
            """),
            "15m",
            Severity.PAGE,
            f"{_POOL}: nobody knows what waits, and nothing ends",
            "{{ $value | humanizeDuration }} of audio wait, or did when that was last known, within the last hour."
            " Kafka is away, or consumers hang.",
        ),
        Alert(
            "AftercallReplicasMissing",
            promql(f"""
                max by (namespace, pool, fleet) ({metrics.OPERATOR_WANTED.name})
                - max by (namespace, pool, fleet) ({metrics.OPERATOR_READY.name})
                > 0
            """),
            "30m",
            Severity.TICKET,
            f"{_POOL}: {{{{ $value }}}} replicas of {{{{ $labels.fleet }}}} do not come",
            "They were asked for half an hour ago or more, and do not answer: no GPU is free, or they do not start.",
        ),
        Alert(
            "AftercallTenantStarved",
            promql(f"""
                {LIVE} > 0
                unless on (namespace, pool, tenant) {RUNNING} > 0
                unless on (namespace, pool, tenant) {DONE} > 0
                unless on (namespace, pool)
                  max by (namespace, pool) ({metrics.OPERATOR_DRAIN.name})
                  > on (namespace, pool) max by (namespace, pool) ({metrics.OPERATOR_PROMISE.name})
                and on (namespace, pool) sum by (namespace, pool) ({DONE}) > 0
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
                sum by (namespace, pool) (
                  {metrics.WAITING_AUDIO.name}{{lane="bulk"}}
                  unless on (namespace, pod, tenant) {metrics.THROTTLED.name} == 1
                ) > 0
                unless on (namespace, pool)
                  sum by (namespace, pool) (max_over_time({metrics.RUNNING_AUDIO.name}{{lane="bulk"}}[15m])) > 0
                and on (namespace, pool) ({ENDED} > 0 or {HEARD} > 0)
            """),
            "6h",
            Severity.TICKET,
            f"{_POOL}: bulk work has waited for six hours, and none of it has run",
            "{{ $value | humanizeDuration }} of bulk audio wait within their tenants' limits. Live work goes before it,"
            " and has left it no place.",
        ),
    ),
)

_CONSUMING = Group(
    "aftercall-consumers",
    (
        Alert(
            "AftercallNoProgress",
            _unless_waking(f"""
                (
                  sum by (namespace, pool) ({UNTHROTTLED}) > 0
                  or {_BACKLOG}
                    and on (namespace, pool) max by (namespace, pool) ({metrics.OPERATOR_DRAIN.name}) > 0
                    and on (namespace, pool) sum by (namespace, pool) (increase({_FAILED}[15m])) > 0
                )
                and on (namespace, pool) {ENDED} == 0
                and on (namespace, pool) {HEARD} == 0
            """),
            "15m",
            Severity.PAGE,
            f"{_POOL}: recordings wait, and nothing is heard or has ended for a quarter of an hour",
            "{{ $value | humanizeDuration }} of audio wait within their tenants' limits, or to be tried again.",
        ),
        Alert(
            "AftercallConsumerHung",
            promql(f"""
                (
                  {_unthrottled("namespace, pool, pod", metrics.WAITING_AUDIO.name)} > 0
                  or sum by (namespace, pool, pod) ({metrics.RUNNING_AUDIO.name}) > 0
                )
                and on (namespace, pool, pod)
                  {_done("namespace, pool, pod", "5m")} == 0
                and on (namespace, pool, pod)
                  {_heard("namespace, pool, pod")} == 0
                unless on (namespace, pool) (
                  sum by (namespace, pool) ({UNTHROTTLED}) > 0
                  unless on (namespace, pool) max_over_time({ENDED}[20m]) > 0
                  unless on (namespace, pool) max_over_time({HEARD}[20m]) > 0
                )
            """),
            "30m",
            Severity.PAGE,
            f"{_POOL}: consumer {{{{ $labels.pod }}}} has work, and gets nowhere",
            "For half an hour it has heard nothing and ended nothing. What it holds goes to no other consumer.",
        ),
        Alert(
            "AftercallAttemptsFailing",
            promql(f"""
                sum by (namespace, pool, reason) (rate({_FAILED}[15m]))
                / on (namespace, pool) group_left () (
                  sum by (namespace, pool) (rate({_FAILED}[15m]))
                  + {_done("namespace, pool", "15m")}
                  > 0
                )
                > 0.5
                and sum by (namespace, pool, reason) (increase({_FAILED}[15m])) >= 10
            """),
            "15m",
            Severity.PAGE,
            f"{_POOL}: recordings are begun again and again ({{{{ $labels.reason }}}})",
            "{{ $value | humanizePercentage }} of all attempts end so, with no outcome. What is tried again waits for"
            " up to five minutes each time, and is in no backlog of a consumer meanwhile.",
        ),
        Alert(
            "AftercallConsumerStuck",
            f"max by (namespace, pool, pod) ({metrics.OLDEST_UNFINISHED.name}) > 86400",
            "10m",
            Severity.PAGE,
            f"{_POOL}: a partition has stood still for {{{{ $value | humanizeDuration }}}}",
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
            f"{_POOL}: {{{{ $value }}}} partitions of {{{{ $labels.topic }}}} are not read on",
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
            f"{_POOL}: decoders have died {{{{ printf `%.0f` $value }}}} times in an hour",
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
            f"{_POOL}: two recordings came under one identity",
            "The transcript of the second was put in quarantine: an upstream service uses an id twice.",
        ),
    ),
)

_SPEECH = Group(
    "aftercall-speech-health",
    (
        Record(
            ABSENT, _seconds_since(_ASLEEP, _NEW, f'max by (namespace, pool) ({foreign.UP}{{component="speech"}}) == 1')
        ),
        Record(WANTED, _seconds_since(_ASLEEP, _NEW)),
        Alert(
            "AftercallSpeechDown",
            _unless_waking(f'avg by (namespace, pool) ({metrics.SPEECH_DOWN.name}{{component="consumers"}}) > 0.5'),
            "5m",
            Severity.PAGE,
            f"{_POOL}: the speech backend does not answer",
            "{{ $value | humanizePercentage }} of the consumers take it for down. Recordings wait where they are, and"
            " none is lost.",
        ),
        Alert(
            "AftercallSpeechServersAbsent",
            promql(f"""
                {_fleet(metrics.OPERATOR_WANTED, "speech")} > 0
                unless on (namespace, pool) sum by (namespace, pool) ({foreign.UP}{{component="speech"}}) > 0
                unless on (namespace, pool)
                  {ABSENT} <= 2 * {_COLD_START}
            """),
            "5m",
            Severity.PAGE,
            f"{_POOL}: no speech server can be seen",
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
            f"{_POOL}: {{{{ $value | humanizePercentage }}}} of windows fail at the speech backend",
            "Those that fail are asked again, up to three times; those that are refused make their recording a dead"
            " letter.",
        ),
    ),
)

GROUPS = (_SERIES, _DRAINING, _CONSUMING, _SPEECH)
