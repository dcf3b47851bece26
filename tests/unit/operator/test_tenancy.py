"""Tenants compiled: whole files, each tenant in one, and what is broken beside them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from aftercall.contracts import tenants
from aftercall.operator import conditions, grants, tenancy

SID = "AC" + "0" * 32


def compiled(found: dict[str, dict[str, Any]], *, shards: int = 2) -> dict[str, tenants.TenantPolicy]:
    """Return the policies of what was compiled, as consumers read them."""
    files, _ = tenancy.compile_tenants(found, max_consumers=10, shards=shards)
    assert shards == len(files)
    return tenants.parse_files({str(at): text.encode() for at, text in enumerate(files)})


def test_a_tenant_becomes_a_policy() -> None:
    """Of its id, with its floor, and with the paths of its Secrets."""
    spec = {
        "id": "Acme (EU)",
        "language": "de",
        "vocabulary": ["Frau Müller"],
        "egressHosts": ["stt.example.com"],
        "audioSecondsPerMinute": 600,
        "burstAudioSeconds": 120,
        "concurrency": 3,
        "weight": 4,
        "lanes": ["Bulk"],
        "topics": ["recordings.bulk"],
        "buckets": ["acme-calls"],
        "webhook": {"secret": "acme-hook"},
        "twilio": {"secret": "acme-twilio", "accountSid": SID},
    }
    mounted = "/var/run/secrets/aftercall"

    expected = tenants.TenantPolicy.model_validate(
        {
            "name": "Acme (EU)",
            "language": "de",
            "vocabulary": ["Frau Müller"],
            "egress_hosts": ["stt.example.com"],
            "audio_seconds_per_minute": 600,
            "floor_audio_seconds_per_minute": 600 * grants.FLOOR_SHARE / 10,
            "burst_audio_seconds": 120,
            "concurrency": 3,
            "weight": 4,
            "lanes": ["bulk"],
            "topics": ["recordings.bulk"],
            "buckets": ["acme-calls"],
            "webhook": {
                "url_file": f"{mounted}/webhooks/acme-hook/url",
                "secret_files": [
                    f"{mounted}/webhooks/acme-hook/secret",
                    f"{mounted}/webhooks/acme-hook/next-secret",
                ],
            },
            "twilio": {"account_sid": SID, "auth_token_file": f"{mounted}/twilio/acme-twilio/auth-token"},
        }
    )

    assert {"Acme (EU)": expected} == compiled({"acme-eu": spec})


def test_an_object_s_name_is_its_id_where_it_gives_none() -> None:
    """And without a limit there is no floor."""
    assert {"acme": tenants.TenantPolicy(name="acme")} == compiled({"acme": {}})


def test_no_tenants_are_good_files() -> None:
    """Which consumers read as nobody."""
    assert {} == compiled({}, shards=3)


@pytest.mark.parametrize(
    ("found", "reason", "said"),
    [
        ({"new": {"weight": 0}}, "Invalid", "spec.weight: Input should be greater than or equal to 1"),
        ({"new": {"redaction": {}}}, "Invalid", "spec: redaction is not built yet"),
        ({"new": {"id": "acme"}}, "IdTaken", "spec.id: acme is the id of Tenant acme, which is older"),
        (
            {"new": {"twilio": {"secret": "x", "accountSid": SID}}},
            "AccountTaken",
            "spec.twilio.accountSid: is the account of Tenant acme, which is older",
        ),
        ({"n" * 201: {}}, "Invalid", "metadata.name has 201 characters; at most 200 are allowed; set spec.id"),
    ],
)
def test_what_is_broken_is_left_out_with_a_finding(found: dict[str, Any], reason: str, said: str) -> None:
    """The others are compiled as they were without it."""
    good: dict[str, Any] = {"acme": {"twilio": {"secret": "a", "accountSid": SID}}, "globex": {}}
    alone, _ = tenancy.compile_tenants(good, max_consumers=4, shards=2)

    files, findings = tenancy.compile_tenants(good | found, max_consumers=4, shards=2)

    assert (alone, list(found)) == (files, list(findings))
    (finding,) = findings.values()
    assert (conditions.Status.FALSE, reason) == (finding.status, finding.reason)
    assert said in finding.message


def test_one_of_two_tenants_of_one_id_in_another_form_is_the_older_s() -> None:
    """Ids are compared as events are read: in NFC."""
    _, findings = tenancy.compile_tenants(
        {"first": {"id": "Mu\u0308ller"}, "second": {"id": "M\u00fcller"}}, max_consumers=1, shards=1
    )

    assert ["second"] == list(findings)


def test_a_file_holds_a_config_map_s_worth_and_the_oldest_stay() -> None:
    """Counted in bytes, not characters; whoever finds no room is told, by name."""
    big = {f"t{at}": {"vocabulary": ["й" * 100] * 1000} for at in range(12)}

    files, findings = tenancy.compile_tenants(big, max_consumers=1, shards=1)

    (file,) = files
    assert 1 << 20 >= len(file.encode()) > (1 << 20) * 0.8
    assert list(big)[-len(findings) :] == list(findings)
    assert {"NoRoom"} == {each.reason for each in findings.values()}
    assert "operator.tenants_config_maps" in findings["t11"].message


def test_a_small_tenant_fits_in_the_room_that_a_large_one_does_not() -> None:
    """So one large tenant shuts no door behind it."""
    big = {f"t{at}": {"vocabulary": ["й" * 100] * 1000} for at in range(6)}

    _, findings = tenancy.compile_tenants(big | {"small": {}}, max_consumers=1, shards=1)

    assert "t5" in findings
    assert "small" not in findings


def test_equal_tenants_give_equal_files_in_whatever_order() -> None:
    """So that nothing is written where nothing has changed."""
    found = {f"t{at}": {"weight": at % 7 + 1, "audioSecondsPerMinute": 60} for at in range(20)}
    files, _ = tenancy.compile_tenants(found, max_consumers=3, shards=4)

    again, _ = tenancy.compile_tenants(dict(reversed(found.items())), max_consumers=3, shards=4)

    assert files == again


def test_another_config_map_moves_few() -> None:
    """A fifth of the tenants, when four become five; and each file has its share."""
    found: dict[str, dict[str, Any]] = {f"t{at}": {} for at in range(1000)}
    before, _ = tenancy.compile_tenants(found, max_consumers=3, shards=4)
    after, _ = tenancy.compile_tenants(found, max_consumers=3, shards=5)

    moved = sum(
        len(set(tenants.parse_files({"old": old.encode()})) - set(tenants.parse_files({"new": new.encode()})))
        for old, new in itertools.zip_longest(before, after[:4])
    )

    assert 150 <= moved <= 250
    assert all(150 <= text.count("\n") <= 250 for text in after)


def test_floors_are_a_part_of_the_limit_whatever_there_is_of_consumers() -> None:
    """None yet counts as one."""
    files, _ = tenancy.compile_tenants({"acme": {"audioSecondsPerMinute": 1}}, max_consumers=0, shards=1)

    floor = tenants.parse_files({"file": files[0].encode()})["acme"].floor_audio_seconds_per_minute
    assert grants.FLOOR_SHARE == floor
