"""What every request passes first."""

from __future__ import annotations

import api_service
import pytest

from aftercall.api import gate
from aftercall.contracts import errors, outcomes

ADDRESSES = (
    ("GET", "/v1/transcriptions"),
    ("GET", "/v1/transcriptions/tr_1"),
    ("GET", "/v1/transcriptions/tr_1/transcript"),
    ("GET", "/v1/calls/c1"),
    ("PUT", "/v1/recordings/acme/c1"),
    ("POST", "/v1/recordings/c1/transcribe"),
    ("PATCH", "/v1/transcriptions"),
    ("DELETE", "/v1/calls/c1"),
    ("OPTIONS", "/v1/transcriptions"),
    ("GET", "/v1/nothing"),
    ("GET", "/v1"),
    ("GET", "/v1/"),
)


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
@pytest.mark.parametrize("key", [None, "wrong"])
async def test_with_keys_configured_everything_under_v1_wants_one(method: str, path: str, key: str | None) -> None:
    """Also what does not exist; and nothing is looked at before."""
    service = api_service.MemoryService(keys={"acme": "s3cret"})
    service.intake.failure = AssertionError("looked up for a stranger")
    async with api_service.client(service, key=key) as client:
        answer = await client.request(method, path, content=b"{not json" if method == "POST" else b"")

    assert 401 == answer.status_code
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "API key" in api_service.problem_of(answer)
    assert {} == service.uploads.kept


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
async def test_a_key_opens_by_either_header(header: str) -> None:
    """As people are used to it."""
    service = api_service.MemoryService(keys={"acme": "s3cret"})
    value = "Bearer s3cret" if header == "Authorization" else "s3cret"
    async with api_service.client(service) as client:
        answer = await client.get("/v1/transcriptions", headers={header: value})

    assert (200, {"transcriptions": [], "next": None}) == (answer.status_code, answer.json())


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_without_keys_only_this_machine_is_served(method: str, path: str, headers: dict[str, str]) -> None:
    """A page from elsewhere cannot use a person's browser to reach the service: by a rebound name, or directly."""
    service = api_service.MemoryService()
    async with api_service.client(service) as client:
        answer = await client.request(method, path, headers=headers)

    assert 403 == answer.status_code
    assert "this machine" in api_service.problem_of(answer)
    assert ([], {}) == (service.intake.reports, service.uploads.kept)


async def test_with_keys_any_host_and_origin_may_be_named() -> None:
    """The key is what counts; a browser page cannot know it."""
    service = api_service.MemoryService(keys={"acme": "s3cret"})
    async with api_service.client(service, key="s3cret") as client:
        answer = await client.get(
            "/v1/transcriptions", headers={"Host": "calls.example", "Origin": "https://a.example"}
        )

    assert 200 == answer.status_code


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/openapi.json", "/docs"])
async def test_what_names_nobody_is_open(path: str) -> None:
    """Probes and documentation want no key."""
    async with api_service.client(api_service.MemoryService(keys={"acme": "s3cret"}), peer="10.0.0.7") as client:
        answer = await client.get(path, headers={"Host": "calls.example"})

    assert (200, "nosniff") == (answer.status_code, answer.headers["x-content-type-options"])


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/v1/recordings/acme/a%2Fb", "encoded slash"),
        ("/v1/recordings/acme/a%2fb", "encoded slash"),
        ("/v1/recordings/a%2f..%2fglobex/c1", "encoded slash"),
        ("/v1/recordings/acme/%FF", "UTF-8"),
        ("/v1/recordings/acme/%ed%a0%80", "UTF-8"),
        ("/v1/recordings/acme/c1?language=%FF", "UTF-8"),
        ("/%FF", "UTF-8"),
    ],
)
async def test_an_address_that_would_change_on_its_way_is_refused(target: str, told: str) -> None:
    """Two ids must never become one, nor one id two parts of an address."""
    service = api_service.MemoryService()
    async with api_service.client(service) as client:
        answer = await client.put(target, content=b"x")

    assert 400 == answer.status_code
    assert told in api_service.problem_of(answer)
    assert {} == service.uploads.kept


@pytest.mark.parametrize("path", ["/healthz", "/v1/transcriptions"])
async def test_a_head_has_a_length_that_is_enough(path: str) -> None:
    """431 beyond it, whether the address or the headers are long."""
    async with api_service.client(api_service.MemoryService()) as client:
        answers = [
            await client.get(path, headers={"X-Long": "x" * gate.MAX_HEAD_BYTES}),
            await client.get(f"{path}?call_id={'x' * gate.MAX_HEAD_BYTES}"),
        ]
        fits = await client.get(path, headers={"X-Long": "x" * (gate.MAX_HEAD_BYTES - 500)})

    assert ([431, 431], 200) == ([answer.status_code for answer in answers], fits.status_code)
    assert {"the address and the headers are longer than 16384 bytes"} == {
        api_service.problem_of(answer) for answer in answers
    }


async def test_answers_about_calls_are_kept_by_no_cache() -> None:
    """Problems and transcripts alike; the documentation may be kept."""
    async with api_service.client(api_service.MemoryService()) as client:
        answers = [await client.get(path) for path in ("/v1/transcriptions", "/v1/transcriptions/tr_1", "/v1/nothing")]
        foreign = await client.get("/v1/transcriptions", headers={"Host": "evil.example"})
        open_to_all = await client.get("/openapi.json")

    assert {"no-store"} == {answer.headers["cache-control"] for answer in [*answers, foreign]}
    assert {"nosniff"} == {answer.headers["x-content-type-options"] for answer in [*answers, foreign]}
    assert "cache-control" not in open_to_all.headers


async def test_head_is_answered_where_get_is() -> None:
    """With the same status and headers."""
    async with api_service.client(api_service.MemoryService()) as client:
        got, asked = await client.get("/v1/transcriptions"), await client.head("/v1/transcriptions")

    assert (200, got.headers) == (asked.status_code, asked.headers)


async def test_a_store_that_is_away_is_told_under_every_address() -> None:
    """503, when to come back, and why."""
    service = api_service.MemoryService()
    service.intake.failure = errors.TransientError(
        "the state database failed", reason=outcomes.Reason.STORE_UNAVAILABLE, retry_after_s=5
    )
    async with api_service.client(service) as client:
        for method, path in ADDRESSES[:4]:
            answer = await client.request(method, path)

            assert (503, "5") == (answer.status_code, answer.headers["retry-after"])
            assert "state database" in api_service.problem_of(answer)
