"""Commands announce where a tenant may be named, and say before what a consumer would refuse after."""

from __future__ import annotations

import json
import pathlib
from collections.abc import AsyncIterator

import doubles
import pytest
import typer.testing

from aftercall.api import problems
from aftercall.cli import api, checking, deployment, doctor
from aftercall.consumers.publish import objects, outcome
from aftercall.contracts import errors, events, identity, settings

TENANTS = """
- {name: acme, topics: [live], buckets: [calls]}
- {name: globex, lanes: [bulk]}
- {name: barred, topics: [elsewhere]}
"""


@pytest.fixture
def configured(tmp_path: pathlib.Path) -> settings.Settings:
    """Settings of a deployment with two topics, two buckets and three tenants."""
    (tmp_path / "tenants.yaml").write_text(TENANTS)
    return settings.load(
        {},
        overrides={
            "kafka": {
                "bootstrap_servers": "127.0.0.1:1",
                "topics": [{"name": "live"}, {"name": "bulk", "lane": "bulk"}],
            },
            "store": {
                "bucket": "ours",
                "recording_buckets": [{"name": "calls"}, {"name": "uploads"}],
                "access_key_id": "x",
                "secret_access_key": "y",
            },
            "api": {"uploads_bucket": "uploads"},
            "intake": {"tenants_file": tmp_path / "tenants.yaml"},
        },
    )


def test_work_is_announced_where_its_tenant_may_be_named(configured: settings.Settings) -> None:
    """Replays on bulk where they may, requests live where they may."""
    ours = deployment.Deployment(configured)

    assert ["live", "bulk", "live"] == [ours.topic_for(name) for name in ("acme", "globex", "nobody")]
    assert ["live", "bulk", "bulk"] == [ours.topic_for(name, lane="bulk") for name in ("acme", "globex", "nobody")]
    with pytest.raises(errors.ConfigurationError, match="tenant 'barred' may be named on none of them"):
        ours.topic_for("barred")


@pytest.mark.parametrize(
    ("tenant", "said"), [("acme", "may not lie where uploads are kept"), ("barred", "announced on no topic")]
)
async def test_an_upload_that_no_consumer_would_take_is_refused_before_it_is_kept(
    configured: settings.Settings, tenant: str, said: str
) -> None:
    """With 403, and without a byte of it read."""
    ours = deployment.Deployment(configured)

    async def publish(_: events.RecordingReady) -> None:
        raise AssertionError("announced")

    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield b""

    at = api._desk(configured, ours, outcome.Reader(objects.ObjectStore.in_memory()), publish)
    assert at is not None
    with pytest.raises(problems.ProblemError, match=said) as caught:
        await at._store(identity.Recording(tenant, "c1"), body())

    assert 403 == caught.value.status


@pytest.mark.parametrize(
    ("tenant", "uri", "said"),
    [
        ("acme", "s3://calls/c1.wav", None),
        ("acme", "s3://uploads/c1.wav", "recording_uri: recordings of 'acme' are not taken from s3://uploads"),
        ("globex", "s3://uploads/c1.wav", None),
        ("globex", "s3://private/c1.wav", "recording_uri: recordings of 'globex' are not taken from s3://private"),
        ("barred", "s3://calls/c1.wav", "tenant: 'barred' may be named on none of the topics live, bulk"),
    ],
)
def test_events_are_checked_against_bindings(
    configured: settings.Settings, tmp_path: pathlib.Path, tenant: str, uri: str, said: str | None
) -> None:
    """As a consumer of these settings would hold them to them."""
    plain = json.loads(configured.model_dump_json(include={"kafka": {"topics"}, "store": {"recording_buckets"}}))
    plain["intake"] = {"tenants_file": str(tmp_path / "tenants.yaml")}
    (tmp_path / "settings.yaml").write_text(json.dumps(plain))
    event = events.recording_ready(doubles.event("c1", tenant, recording_uri=uri), source="t", now=doubles.NOW)
    (tmp_path / "event.json").write_bytes(events.encode(event))

    done = typer.testing.CliRunner().invoke(
        checking.app, ["check", str(tmp_path / "event.json"), "--settings", str(tmp_path / "settings.yaml")]
    )

    assert (0 if said is None else 1) == done.exit_code, done.output
    assert (said or "good") in done.output


async def test_doctor_names_tenants_that_no_topic_may_name(configured: settings.Settings) -> None:
    """It is no failure: another pool may have theirs."""
    assert "3 in" in (told := await doctor._tenants(configured))
    assert told.endswith("no topic here may name barred")


async def test_doctor_reads_the_files_of_webhooks(tmp_path: pathlib.Path) -> None:
    """And names each that is not there."""
    hook = {"url_file": str(tmp_path / "url"), "secret_files": [str(tmp_path / "secret")]}
    with_hook = settings.load({}, overrides={"tenants": [{"name": "acme", "webhook": hook}]})  # type: ignore[dict-item]
    (tmp_path / "secret").write_text("whsec_" + "A" * 32)
    with pytest.raises(errors.ConfigurationError, match=r"tenant acme: webhook address: .*/url is not there"):
        await doctor._webhooks(with_hook)

    (tmp_path / "url").write_text("https://hooks.acme.example")

    assert "1 tenants are told" in await doctor._webhooks(with_hook)
