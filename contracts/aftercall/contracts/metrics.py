"""Every metric, declared once: its name, kind, labels and what it means.

Names are `aftercall_<component>_<noun>_<unit>[_total]`; counters end in `_total`, gauges never. No label holds
an id that grows without bound; `tenant` is bounded by the tenants file.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping


class Kind(enum.StrEnum):
    """A Prometheus metric type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """One metric's declaration; `buckets` only for histograms, in the unit of the name.

    `shown` are labels that are there at 0 before anything is counted: what begins at 1 has not grown, to Prometheus. Of
    a label that is not among them, such as `tenant`, each value brings the rest with it.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    shown: tuple[Mapping[str, str], ...] = ()
    traced: bool = False
    """Whether an observation names the trace that it is of, for whoever asks for exemplars."""


def _each(label: str, *values: str) -> tuple[Mapping[str, str], ...]:
    return tuple({label: value} for value in values)


_LATENCY_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

JOBS = Metric(
    "aftercall_consumer_jobs_total",
    Kind.COUNTER,
    "Generations of recordings that ended, by outcome and reason.",
    ("outcome", "reason"),
    shown=(
        {"outcome": "canonical", "reason": "done"},
        {"outcome": "dead", "reason": "backend_refused"},
        {"outcome": "dead", "reason": "decoder_died"},
        {"outcome": "dead", "reason": "decoder_timeout"},
        {"outcome": "dead", "reason": "internal_error"},
        {"outcome": "dead", "reason": "process_died"},
    ),
)
REPEATS = Metric(
    "aftercall_consumer_repeats_total",
    Kind.COUNTER,
    "Deliveries of work that had its outcome already; they cost a look.",
)
RETRIES = Metric(
    "aftercall_consumer_retries_total",
    Kind.COUNTER,
    "Attempts that ended without an outcome, by reason.",
    ("reason",),
    shown=_each(
        "reason",
        "backend_unavailable",
        "broker_unavailable",
        "claimed",
        "decoder_died",
        "decoder_timeout",
        "internal_error",
        "store_unavailable",
    ),
)
CONFLICTS = Metric(
    "aftercall_consumer_conflicts_total",
    Kind.COUNTER,
    "Transcripts put in quarantine: another recording was decided under the same identity. Each wants a look.",
)
SHADOW_RECORDINGS = Metric(
    "aftercall_consumer_shadow_recordings_total",
    Kind.COUNTER,
    "Recordings of the share that a second backend is tried on: compared, failed, or left out since it was busy.",
    ("result",),
    shown=_each("result", "compared", "failed", "left_out"),
)
SHADOW_WORDS = Metric(
    "aftercall_consumer_shadow_words_total",
    Kind.COUNTER,
    "Words that were compared with a second backend's, and those of them that differ.",
    ("kind",),
    shown=_each("kind", "compared", "differing"),
)
STAGE_SECONDS = Metric(
    "aftercall_consumer_stage_seconds",
    Kind.HISTOGRAM,
    "Wall time of one stage of one job.",
    ("stage",),
    _LATENCY_S,
    traced=True,
)
EVENT_TO_TRANSCRIPT_SECONDS = Metric(
    "aftercall_consumer_event_to_transcript_seconds",
    Kind.HISTOGRAM,
    "Time from a recording's event to its outcome.",
    (),
    _LATENCY_S,
    traced=True,
)
AUDIO_SECONDS = Metric(
    "aftercall_consumer_audio_seconds_total", Kind.COUNTER, "Audio-seconds of canonical transcripts.", ("tenant",)
)
WINDOWS_IN_FLIGHT = Metric(
    "aftercall_consumer_windows_in_flight", Kind.GAUGE, "Windows given to the speech backend and not answered yet."
)
JOBS_RUNNING = Metric("aftercall_consumer_jobs_running", Kind.GAUGE, "Recordings being worked on now.")
QUEUE_LENGTH = Metric("aftercall_intake_queue_recordings", Kind.GAUGE, "Recordings waiting in the embedded queue.")
SOURCE_SKIPPED = Metric(
    "aftercall_intake_skipped_total", Kind.COUNTER, "Files or objects in a source that are no recordings.", ("why",)
)
WAITING = Metric("aftercall_intake_waiting_recordings", Kind.GAUGE, "Recordings that were read and wait their turn.")
WAITING_AUDIO = Metric(
    "aftercall_intake_waiting_audio_seconds",
    Kind.GAUGE,
    "Audio-seconds that were read and wait their turn, as far as their lengths are known or believed.",
    ("tenant", "lane"),
)
RUNNING_AUDIO = Metric(
    "aftercall_intake_running_audio_seconds", Kind.GAUGE, "Audio-seconds being worked on now.", ("tenant", "lane")
)
GRANT = Metric(
    "aftercall_intake_grant_audio_seconds_per_second",
    Kind.GAUGE,
    "Audio-seconds that may begin each second here; a tenant without a limit has none of these.",
    ("tenant",),
)
RECORDS = Metric("aftercall_intake_records_total", Kind.COUNTER, "Records read from topics.", ("topic",))
OLDEST_UNFINISHED = Metric(
    "aftercall_intake_oldest_unfinished_seconds",
    Kind.GAUGE,
    "How long the most stuck partition has stood at its lowest unfinished offset; compare it with retention.",
)
PAUSED = Metric(
    "aftercall_intake_paused_partitions",
    Kind.GAUGE,
    "Partitions that are not read on, since too much of what was read of them is unfinished.",
    ("topic",),
)
PARKED = Metric(
    "aftercall_intake_parked_total",
    Kind.COUNTER,
    "Records put aside on the deferred topic (over_share) or on the parked one, by reason.",
    ("why",),
    shown=_each("why", "newer_schema", "other_model", "over_share", "unknown_tenant", "unknown_topic"),
)
THROTTLED = Metric(
    "aftercall_intake_throttled", Kind.GAUGE, "1 while a tenant's work waits for the tenant's own limit.", ("tenant",)
)
BUILD_INFO = Metric("aftercall_build_info", Kind.GAUGE, "1; what runs here.", ("version", "part"))
TENANTS_INVALID = Metric(
    "aftercall_intake_tenants_file_invalid",
    Kind.GAUGE,
    "1 while the tenants file has a mistake in it and the last good one is used.",
)
DEAD_LETTERS = Metric(
    "aftercall_intake_dead_letters_total",
    Kind.COUNTER,
    "Records that announce nothing that could be taken, put among the dead letters, by reason.",
    ("reason",),
    shown=_each("reason", "forbidden_source", "invalid_event"),
)
BATCHES = Metric("aftercall_serve_batches_total", Kind.COUNTER, "Batches given to the engine.")
BATCH_WINDOWS = Metric(
    "aftercall_serve_batch_windows", Kind.HISTOGRAM, "Windows in a batch.", (), (1, 2, 4, 8, 16, 32, 64)
)
ENGINE_SECONDS = Metric("aftercall_serve_engine_seconds_total", Kind.COUNTER, "Wall time spent inside the engine.")
WINDOW_SECONDS = Metric(
    "aftercall_serve_window_seconds_total", Kind.COUNTER, "Seconds of windows transcribed, before padding."
)
SPEECH_CALLS = Metric(
    "aftercall_consumer_speech_calls_total",
    Kind.COUNTER,
    "Windows asked of the speech backend: answered, busy (asked again), failed (some are asked again) or refused.",
    ("result",),
    shown=_each("result", "answered", "busy", "failed", "refused"),
)
SPEECH_DOWN = Metric(
    "aftercall_consumer_speech_down",
    Kind.GAUGE,
    "1 while the speech backend is taken for down: windows wait, and one at a time tries whether it is back.",
)
WINDOWS_RETRIED = Metric(
    "aftercall_serve_windows_retried_total",
    Kind.COUNTER,
    "Windows decoded again at a higher temperature.",
    ("flag",),
    shown=_each("flag", "low_confidence", "repetition"),
)
WEBHOOKS = Metric(
    "aftercall_relay_webhooks_total",
    Kind.COUNTER,
    "Attempts to tell a tenant of an outcome, by what came of them; deferred ones were not tried, their endpoint being"
    " busy.",
    ("verdict",),
    shown=_each("verdict", "deferred", "delivered", "disabled", "given_up", "later"),
)
SWEPT = Metric(
    "aftercall_relay_swept_total", Kind.COUNTER, "Outcomes without a row that a sweep found, and told of again."
)
RELAY_FAILURES = Metric(
    "aftercall_relay_failures_total",
    Kind.COUNTER,
    "Deliveries to a sink that failed and will be retried.",
    ("sink",),
    shown=_each("sink", "clickhouse"),
)

POOL_PROMISES = Metric(
    "aftercall_consumer_pool_promises_total",
    Kind.COUNTER,
    "Outcomes of recordings of all tenants, by whether they came within the promised time of their event; what waited"
    " for its tenant's own limit was promised nothing, and is `throttled`. Objectives are counted from this.",
    ("kept",),
    shown=_each("kept", "true", "false", "throttled"),
)
PROMISES = Metric(
    "aftercall_consumer_promises_total",
    Kind.COUNTER,
    "Outcomes of each tenant's recordings, by whether they came within the promised time of their event. A tenant's"
    " first on each consumer has no nought before it, so that rates lack it.",
    ("tenant", "kept"),
    shown=_each("kept", "true", "false", "throttled"),
)
REPORTS_SENT = Metric(
    "aftercall_consumer_reports_total", Kind.COUNTER, "Reports to the operator, by what came of them.", ("result",)
)
LEASE_LEFT = Metric(
    "aftercall_consumer_grant_lease_seconds",
    Kind.GAUGE,
    "Seconds for which the operator's last grants are still good; 0: only floors are used.",
)
OPERATOR_WANTED = Metric(
    "aftercall_operator_wanted_replicas",
    Kind.GAUGE,
    "Replicas that were last decided; fleet is `speech` or `consumers`. A target that is not read has none of these.",
    ("pool", "fleet"),
)
OPERATOR_READY = Metric(
    "aftercall_operator_ready_replicas",
    Kind.GAUGE,
    "Replicas that answer; 0 where their target is not there. What cannot be read has none of these.",
    ("pool", "fleet"),
)
OPERATOR_BACKLOG = Metric(
    "aftercall_operator_backlog_audio_seconds",
    Kind.GAUGE,
    "Audio-seconds that wait, with consumers or unread; a lower bound while BacklogKnown is not True.",
    ("pool",),
)
OPERATOR_UNREAD = Metric(
    "aftercall_operator_unread_records", Kind.GAUGE, "Records that no consumer has read, as far as known.", ("pool",)
)
OPERATOR_ARRIVING = Metric(
    "aftercall_operator_arriving_audio_seconds_per_second",
    Kind.GAUGE,
    "Audio-seconds that arrive a second and that limits let through.",
    ("pool",),
)
OPERATOR_DRAIN = Metric(
    "aftercall_operator_drain_seconds",
    Kind.GAUGE,
    "Seconds until what is due as the pool promises is gone, as far as limits let it through, at what arrives and what"
    " answers now; the slower of speech replicas and consumers counts. +Inf: never; NaN: not known.",
    ("pool",),
)
OPERATOR_PROMISE = Metric(
    "aftercall_operator_promise_seconds", Kind.GAUGE, "Seconds in which a pool's transcripts are due.", ("pool",)
)
OPERATOR_COLD_START = Metric(
    "aftercall_operator_cold_start_seconds",
    Kind.GAUGE,
    "Seconds from asking for a speech replica to its first work, as the pool says.",
    ("pool",),
)
OPERATOR_CAPACITY = Metric(
    "aftercall_operator_capacity_audio_seconds_per_second",
    Kind.GAUGE,
    "Audio-seconds a second that one busy replica is believed to do.",
    ("pool", "fleet"),
)
OPERATOR_DECISIONS = Metric(
    "aftercall_operator_decisions_total", Kind.COUNTER, "Decisions, by reason.", ("pool", "fleet", "reason")
)
OPERATOR_CHANGES = Metric(
    "aftercall_operator_scale_changes_total",
    Kind.COUNTER,
    "Changes of a fleet's replicas that were written: up or down.",
    ("pool", "fleet", "direction"),
    shown=_each("direction", "down", "up"),
)
OPERATOR_CONDITION = Metric(
    "aftercall_operator_pool_condition",
    Kind.GAUGE,
    "1 for the status that a pool's condition has.",
    ("pool", "type", "status"),
)
OPERATOR_TENANTS = Metric(
    "aftercall_operator_tenants", Kind.GAUGE, "Tenants, by whether they are compiled into the ConfigMaps.", ("ready",)
)
OPERATOR_LIMIT = Metric(
    "aftercall_operator_limit_audio_seconds_per_second",
    Kind.GAUGE,
    "A tenant's limit; one without has none of these.",
    ("tenant",),
)
OPERATOR_GRANTED = Metric(
    "aftercall_operator_granted_audio_seconds_per_second",
    Kind.GAUGE,
    "What consumers may be using of a tenant's limit: grants that are out, and floors.",
    ("tenant",),
)
OPERATOR_REPORTS = Metric(
    "aftercall_operator_reports_total", Kind.COUNTER, "Reports of consumers, by how they were answered.", ("result",)
)
OPERATOR_REPORT_SECONDS = Metric(
    "aftercall_operator_report_seconds",
    Kind.HISTOGRAM,
    "Time from a report to its answer.",
    (),
    (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
)
OPERATOR_RECONCILE_SECONDS = Metric(
    "aftercall_operator_reconcile_seconds",
    Kind.HISTOGRAM,
    "Time of one look at a pool, from reading to writing.",
    (),
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
OPERATOR_LAST_RECONCILE = Metric(
    "aftercall_operator_last_reconcile_timestamp_seconds",
    Kind.GAUGE,
    "Unix time of the last look at a pool that came to its end; before the first, of when looking at it began.",
    ("pool",),
)
OPERATOR_LAST_LIST = Metric(
    "aftercall_operator_last_list_timestamp_seconds",
    Kind.GAUGE,
    "Unix time of the last list of all pools, or of all tenants, that was answered; before the first, of the start.",
    ("kind",),
)
OPERATOR_LEASE = Metric(
    "aftercall_operator_lease_held", Kind.GAUGE, "1 while this operator holds the Lease and may issue grants."
)

API_REQUESTS = Metric(
    "aftercall_api_requests_total",
    Kind.COUNTER,
    "Requests to the API of a deployment, by route and status, probes apart; 499: the caller went away first. What has"
    " no route is `other`.",
    ("route", "method", "status"),
)
API_REQUEST_SECONDS = Metric(
    "aftercall_api_request_seconds",
    Kind.HISTOGRAM,
    "Time from a request to the API of a deployment to the end of its answer.",
    ("route",),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
API_IN_FLIGHT = Metric(
    "aftercall_api_requests_in_flight", Kind.GAUGE, "Requests that the API of a deployment is answering now."
)

ALL: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
