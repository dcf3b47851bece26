"""How every Kafka client of ours connects."""

from __future__ import annotations

import typing

from aftercall.contracts import errors, services


def client(configured: services.Kafka, *, name: str) -> dict[str, typing.Any]:
    """Return what consumers, producers and admin clients have in common."""
    if not configured.bootstrap_servers:
        raise errors.ConfigurationError("kafka.bootstrap_servers: names no broker")
    found: dict[str, typing.Any] = {
        "bootstrap_servers": list(configured.bootstrap_servers),
        "client_id": name,
        "security_protocol": configured.security_protocol,
        # The library's own would wait up to 30 s for a broker that has been back for 29.
        "reconnect_backoff_max_ms": 1000,
    }
    if configured.sasl_mechanism is not None and configured.password is not None:
        found |= {
            "sasl_mechanism": configured.sasl_mechanism,
            "sasl_plain_username": configured.username,
            "sasl_plain_password": configured.password.get_secret_value(),
        }
    files = {
        "ssl_cafile": configured.ca_file,
        "ssl_certfile": configured.certificate_file,
        "ssl_keyfile": configured.key_file,
    }
    return found | {key: str(file) for key, file in files.items() if file is not None}


def member(configured: services.Kafka, *, group: str, name: str) -> dict[str, typing.Any]:
    """Return what a member of a consumer group is configured with; it commits by itself, when it knows what is done."""
    return client(configured, name=name) | {
        "group_id": group,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "max_poll_interval_ms": int(configured.max_poll_interval_s * 1000),
        "session_timeout_ms": int(configured.session_timeout_s * 1000),
        "heartbeat_interval_ms": int(configured.session_timeout_s * 1000 / 10),
        # A poll must return all that was fetched: kafka-python (3.0.12) sets records that are left over aside when
        # their partition is paused, and does not bring them back while no other fetch ends (the partition stands still
        # for ever). What a poll may return is bounded by what is fetched instead, 64 KiB of each partition.
        "max_poll_records": 10**9,
        "max_partition_fetch_bytes": 64 * 1024,
    }
