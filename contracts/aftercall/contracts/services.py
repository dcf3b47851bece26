"""The groups of settings of what a deployment runs on: Kafka, S3 and ClickHouse. `settings` reads them."""

from __future__ import annotations

import pathlib
import re
import urllib.parse
from typing import Annotated, Any, Literal

import pydantic

from aftercall.contracts import sections
from aftercall.contracts import tenants as policies

_CLICKHOUSE_PORTS = {"http": 8123, "https": 8443}


class TopicBinding(sections.Section):
    """A topic that announces recordings, and what it may name."""

    name: str
    """Name of the topic."""
    lane: policies.Lane = "live"
    """`bulk` is served with what capacity `live` leaves."""
    tenants: tuple[str, ...] = ()
    """Tenants that may be named on it; none: any."""
    key_templates: tuple[str, ...] = ("{tenant}/{call_id}.{ext}",)
    """How keys of bucket notifications tell tenant and call; an object that matches none is skipped and counted."""
    promise_s: sections.PositiveSeconds | None = None
    """Seconds after its event in which a recording's transcript is due; none: `intake.promise_s`."""

    def admits(self, policy: policies.TenantPolicy) -> bool:
        """Say whether a tenant may be named on it, by this binding and by the tenant's own policy."""
        is_bound = not self.tenants or policy.name in self.tenants
        return is_bound and policy.may_be_named_on(self.name, lane=self.lane)


class Kafka(sections.Section):
    """The broker. `aftercall up` needs none; `aftercall consume` and `aftercall publish` do."""

    bootstrap_servers: tuple[str, ...] = ()
    """Brokers to ask first, `host:port`."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to connect."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How to log in, with a SASL protocol."""
    username: str | None = None
    """Name to log in with."""
    password: pydantic.SecretStr | None = None
    """Password to log in with."""
    ca_file: pathlib.Path | None = None
    """Certificates to trust; none: the system's."""
    certificate_file: pathlib.Path | None = None
    """Our own certificate, where brokers want one."""
    key_file: pathlib.Path | None = None
    """The key of our own certificate."""
    group: str = "aftercall"
    """Consumer group; consumers of one group share the work."""
    topics: tuple[TopicBinding, ...] = (TopicBinding(name="recordings.ready"),)
    """Topics that announce recordings."""
    transcripts_topic: str = "transcripts.ready"
    """Topic that receives the news of every outcome."""
    dead_letter_topic: str = "recordings.dead"
    """Topic that receives records which announce nothing that could be taken."""
    deferred_topic: str = "recordings.deferred"
    """Topic that receives what is over its tenant's share, and is read with what room is left. Its partitions are
    keyed by tenant: the more there are, the fewer tenants wait behind each other there."""
    parked_topic: str = "recordings.parked"
    """Topic that receives what cannot be taken yet, such as an event of a later version, and is looked at again."""
    max_poll_interval_s: sections.PositiveSeconds = 300.0
    """Seconds without a poll after which the broker takes this consumer for hung; jobs may take longer."""
    session_timeout_s: sections.PositiveSeconds = 45.0
    """Seconds without a heartbeat after which the broker takes this consumer for dead."""
    max_open_records: Annotated[int, pydantic.Field(ge=1, le=100_000)] = 512
    """Unfinished records of one partition that are read ahead before it pauses."""
    max_open_bytes: Annotated[int, pydantic.Field(ge=1)] = 16 * 1024**2
    """Bytes of unfinished records of one partition that are read ahead before it pauses."""
    drain_s: Annotated[float, pydantic.Field(ge=0, le=86_400)] = 25.0
    """Seconds that open recordings get to end once a consumer is told to stop; what has not ended then is handed back.
    A pod's `terminationGracePeriodSeconds` must be a few seconds longer."""
    commit_interval_s: sections.PositiveSeconds = 1.0
    """Seconds between commits of progress; what finished since is done again, cheaply, after a crash."""

    def topic_for(self, policy: policies.TenantPolicy, *, lane: policies.Lane | None = None) -> str | None:
        """Return the first topic that a tenant may be named on, best of this lane; None where there is none."""
        admitting = [topic for topic in self.topics if topic.admits(policy)]
        wanted = [topic for topic in admitting if lane in {None, topic.lane}]
        return next((topic.name for topic in wanted or admitting), None)

    @property
    def work_topics(self) -> list[str]:
        """Every topic that holds work."""
        return [*(topic.name for topic in self.topics), self.deferred_topic, self.parked_topic]

    @pydantic.field_validator("bootstrap_servers", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


class Bucket(sections.Section):
    """A bucket that recordings may be fetched from."""

    name: str
    """Name of the bucket."""
    tenants: tuple[str, ...] = ()
    """Tenants whose recordings may lie in it; none: any."""

    def admits(self, policy: policies.TenantPolicy) -> bool:
        """Say whether a tenant's recordings may lie in it, by this binding and by the tenant's own policy."""
        return (not self.tenants or policy.name in self.tenants) and policy.may_lie_in(self.name)


class Store(sections.Section):
    """The S3 account of recordings, transcripts and outcomes; `aftercall up` keeps all of them on disk instead."""

    bucket: str | None = None
    """Bucket for transcripts, outcomes and claims."""
    prefix: str | None = None
    """What every key in that bucket begins with."""
    recording_buckets: tuple[Bucket, ...] = ()
    """Buckets that recordings may be fetched from; nothing else is ever fetched."""
    endpoint: str | None = None
    """Address of a server that speaks S3; none: AWS."""
    region: str = "us-east-1"
    """Region of the buckets."""
    access_key_id: str | None = None
    """Access key; none: from the pod's own identity."""
    secret_access_key: pydantic.SecretStr | None = None
    """Secret of the access key."""
    claim_lease_s: sections.PositiveSeconds = 60.0
    """Seconds without a heartbeat after which another consumer takes over a recording."""

    @pydantic.field_validator("prefix")
    @classmethod
    def _is_a_prefix(cls, prefix: str | None) -> str | None:
        if prefix is not None and not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", prefix):
            raise ValueError("is parts of letters, digits, dots and dashes with slashes between them")
        return prefix


class ClickHouse(sections.Section):
    """Where rows of transcripts go. `aftercall up` has a ClickHouse of its own; for the relay this names one."""

    url: pydantic.HttpUrl | None = None
    """HTTP or HTTPS address of a server, such as `https://clickhouse:8443`; without a port, ClickHouse's own: 8443 for
    HTTPS and 8123 for HTTP."""
    database: str = "default"
    """Database that holds the tables, which are created where they are missing."""
    username: str = "default"
    """Name to log in with."""
    password: pydantic.SecretStr | None = None
    """Password to log in with."""
    sweep_interval_s: sections.PositiveSeconds = 86_400.0
    """Seconds between looks for outcomes that have no row; each lists every outcome, a request a thousand."""
    sweep_settle_s: Annotated[float, pydantic.Field(ge=0)] = 3600.0
    """Seconds after which an outcome without a row counts as missing."""
    folder: pathlib.Path | None = None
    """Folder for a ClickHouse inside the relay's own process, where there is no server."""

    @pydantic.field_validator("url", mode="wrap")
    @classmethod
    def _has_the_port_that_is_meant(cls, value: Any, parse: pydantic.ValidatorFunctionWrapHandler) -> Any:
        # Once parsed, `https://clickhouse` and `https://clickhouse:443` are one; the first means 8443.
        found = parse(value)
        if not isinstance(value, str):
            return found
        written = urllib.parse.urlsplit(value.strip())
        if written.port is not None:
            return found
        port = _CLICKHOUSE_PORTS[found.scheme]
        return parse(written._replace(netloc=f"{written.netloc.rstrip(':')}:{port}").geturl())
