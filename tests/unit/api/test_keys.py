"""Whose request it is."""

from __future__ import annotations

import pydantic
import pytest

from aftercall.api import keys

KEYS = {"acme": pydantic.SecretStr("s3cret"), "globex": pydantic.SecretStr("0ther")}


@pytest.mark.parametrize(
    ("headers", "tenant"),
    [
        ({"authorization": "Bearer s3cret"}, "acme"),
        ({"authorization": "bearer 0ther"}, "globex"),
        ({"x-api-key": "s3cret"}, "acme"),
        ({"x-api-key": " s3cret "}, "acme"),
        ({"authorization": "Basic czNjcmV0", "x-api-key": "0ther"}, "globex"),
        ({"authorization": "Bearer 0ther", "x-api-key": "s3cret"}, "globex"),
        ({"authorization": "Bearer ", "x-api-key": "s3cret"}, "acme"),
        ({"authorization": "Bearer wrong", "x-api-key": "s3cret"}, None),
        ({"authorization": "s3cret"}, None),
        ({"authorization": "Bearer s3cre"}, None),
        ({"authorization": "Bearer s3cret0"}, None),
        ({"authorization": "Bearer S3CRET"}, None),
        ({"authorization": "Bearer acme"}, None),
        ({"x-api-key": ""}, None),
        ({}, None),
    ],
)
def test_a_key_is_one_tenants(headers: dict[str, str], tenant: str | None) -> None:
    """By either header; what is not exactly a key is nobody's."""
    assert tenant == keys.tenant_of(headers, KEYS)


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-api-key": "  "}, {"authorization": "Bearer "}])
def test_no_key_is_nobodys_even_where_an_empty_one_is_configured(headers: dict[str, str]) -> None:
    """A tenant whose key was left empty by mistake is not everybody's."""
    assert keys.tenant_of(headers, {"acme": pydantic.SecretStr("")}) is None


def test_a_key_may_hold_letters_of_any_script() -> None:
    """Headers are bytes: UTF-8 read as latin-1."""
    configured = {"acme": pydantic.SecretStr("schlüssel-à")}

    assert "acme" == keys.tenant_of({"x-api-key": "schlüssel-à".encode().decode("latin-1")}, configured)


@pytest.mark.parametrize(
    ("host", "origin", "local"),
    [
        ("127.0.0.1:8400", None, True),
        ("localhost:8400", None, True),
        ("LOCALHOST", None, True),
        ("[::1]:8400", None, True),
        ("127.0.0.1:8400", "http://127.0.0.1:8400", True),
        ("localhost:8400", "http://LocalHost:8400", True),
        ("127.0.0.1:8400", "http://127.0.0.1:3000", False),
        ("127.0.0.1:8400", "http://localhost:8400", False),
        ("127.0.0.1:8400", "https://evil.example", False),
        ("127.0.0.1:8400", "null", False),
        ("127.0.0.1:8400", "", False),
        ("evil.example", None, False),
        ("evil.example:8400", "http://evil.example:8400", False),
        ("127.0.0.1.evil.example", None, False),
        ("localhost.evil.example", None, False),
        ("evil.example@127.0.0.1.nip.io", None, False),
        ("[::1", None, False),
        ("", None, False),
    ],
)
def test_without_a_key_a_request_is_local_by_its_host_and_origin(host: str, origin: str | None, local: bool) -> None:
    """A page from elsewhere shows in one of the two: by the name that it rebound, or by its own origin."""
    headers = {"host": host} | ({} if origin is None else {"origin": origin})

    assert local is keys.is_local(headers)


def test_a_request_that_names_no_host_is_not_local() -> None:
    """HTTP/1.0 allows it."""
    assert not keys.is_local({})


@pytest.mark.parametrize(
    ("peer", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.7", False),
        ("::ffff:10.0.0.7", False),
        ("testclient", False),
        ("", False),
        (None, False),
    ],
)
def test_a_peer_is_on_this_machine_by_its_address(peer: str | None, loopback: bool) -> None:
    """IPv4 in IPv6's clothes included."""
    assert loopback is keys.is_loopback(peer)
