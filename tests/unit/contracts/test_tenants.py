"""Tenant policies."""

from __future__ import annotations

import pydantic
import pytest

from aftercall.contracts import errors, tenants


@pytest.mark.parametrize("field", sorted(tenants.NOT_BUILT))
def test_what_is_not_built_is_refused_and_never_ignored(field: str) -> None:
    """A tenant that asks for redaction must not be transcribed without it."""
    with pytest.raises(pydantic.ValidationError, match="not built yet"):
        tenants.TenantPolicy.model_validate({"name": "acme", field: 1})


def test_unknown_fields_are_refused() -> None:
    """A typing error in a policy cannot pass unseen."""
    with pytest.raises(pydantic.ValidationError, match="Extra inputs"):
        tenants.TenantPolicy.model_validate({"name": "acme", "egres_hosts": []})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"webhook": {"secret_files": ["a"]}}, "either url or url_file"),
        ({"webhook": {"url": "https://a", "url_file": "a", "secret_files": ["a"]}}, "either url or url_file"),
        ({"lanes": ["fast"]}, "lanes.0"),
        ({"floor_audio_seconds_per_minute": 6}, "a part of audio_seconds_per_minute"),
        ({"audio_seconds_per_minute": 5, "floor_audio_seconds_per_minute": 6}, "a part of audio_seconds_per_minute"),
        ({"audio_seconds_per_minute": float("nan")}, "audio_seconds_per_minute"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], said: str) -> None:
    """By the field."""
    with pytest.raises(pydantic.ValidationError, match=said):
        tenants.TenantPolicy.model_validate({"name": "acme", **fields})


def test_one_account_is_one_tenants() -> None:
    """Whose would a callback be?"""
    account = {"account_sid": "AC1", "auth_token_file": "t"}
    lines = [tenants.line(tenants.TenantPolicy.model_validate({"name": n, "twilio": account})) for n in ("a", "b")]
    with pytest.raises(errors.ConfigurationError, match=r"y: tenant b: twilio\.account_sid: is the account of a"):
        tenants.parse_files({"x": tenants.file_of(lines[:1]).encode(), "y": tenants.file_of(lines[1:]).encode()})


def test_every_problem_of_every_file_is_told_at_once() -> None:
    """One a line, with its file."""
    with pytest.raises(errors.ConfigurationError) as caught:
        tenants.parse_files({"a": b"{", "b": b"- name: x\n  weight: 0\n", "c": b"- name: y\n- name: y\n"})

    assert ["a", "b", "c"] == [line.partition(":")[0] for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("text", [b"[" * 100_000, b"\xff", b"tenants: 3", b"", b'{"tenants": NaN}'])
def test_no_text_is_too_odd_to_be_refused(text: bytes) -> None:
    """In words, not by a crash."""
    with pytest.raises(errors.ConfigurationError):
        tenants.parse_files({"odd": text})
