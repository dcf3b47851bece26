"""What no request may do to the API, whatever it holds."""

from __future__ import annotations

import asyncio
import json
import urllib.parse

import api_service
import httpx2
import pydantic
from hypothesis import given
from hypothesis import strategies as st

from aftercall.api import app, keys, problems
from aftercall.contracts import identity

SERVICE = api_service.MemoryService()
BUILT = app.build_app(SERVICE)
HOSTILE = st.sampled_from(
    [
        *("..", ".", " ", "../acme", "%2e%2e", "a/b", "\x00", "a\x00b", "\ud800", "\u202eabc", "x" * 1100),
        *("caf\u00e9", "cafe\u0301", "\ufb01", "fi"),  # twins: composed and not, and the same only to a lenient eye
    ]
)
JSON = st.recursive(
    st.none() | st.text() | st.integers(), lambda part: st.lists(part) | st.dictionaries(st.text(), part)
)
IDS = HOSTILE | st.text(max_size=220)


def ask(method: str, path: str, content: bytes) -> httpx2.Response:
    """Ask once, of a service that knows of nothing but what the tests below leave in it."""

    async def once() -> httpx2.Response:
        async with api_service.client(SERVICE, built=BUILT) as client:
            return await client.request(method, path, content=content)

    return asyncio.run(once())


def quoted(id_: str) -> str:
    """Write an id into an address, with lone surrogates as the bytes that they would be."""
    # With its dots encoded, or the client itself would resolve `..`.
    return urllib.parse.quote(id_.encode("utf-8", "surrogatepass"), safe="").replace(".", "%2E")


@given(tenant=IDS, call_id=IDS)
def test_an_upload_lands_under_exactly_the_ids_it_names_or_nowhere(tenant: str, call_id: str) -> None:
    """Never under another tenant, whatever the ids hold; a refusal is one problem."""
    SERVICE.uploads.kept.clear()

    answer = ask("PUT", f"/v1/recordings/{quoted(tenant)}/{quoted(call_id)}", b"x")

    if answer.status_code in {200, 201}:
        named = identity.Recording(*(identity.parse_id(each, what="id") for each in (tenant, call_id)))
        assert {named: b"x"} == SERVICE.uploads.kept
        assert (named.tenant, named.recording_id) == (answer.json()["tenant"], answer.json()["callId"])
    else:
        assert answer.status_code in {400, 404, 422}
        assert api_service.problem_of(answer)
        assert {} == SERVICE.uploads.kept


@given(body=st.binary(max_size=200) | JSON.map(lambda plain: json.dumps(plain).encode()))
def test_no_body_breaks_a_request(body: bytes) -> None:
    """It is taken, or it is a problem of the client's."""
    ask("PUT", "/v1/recordings/acme/c1", b"x")

    answer = ask("POST", "/v1/recordings/c1/transcribe?tenant=acme", body)

    assert answer.status_code in {202, 400, 422}
    assert answer.status_code == 202 or api_service.problem_of(answer)


@given(detail=st.text())
def test_a_problem_is_one_line_of_json_whatever_it_quotes(detail: str) -> None:
    """Lone surrogates and line breaks of every kind included."""
    shown = json.loads(bytes(problems.answer(problems.ProblemError(400, detail), path="/v1/calls").body))["detail"]

    assert len(shown.splitlines()) <= 1
    assert len(shown) <= 501


@given(
    configured=st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=4),
    offered=st.text(st.characters(max_codepoint=255)),
)
def test_only_a_configured_key_opens(configured: dict[str, str], offered: str) -> None:
    """And then its own tenant."""
    secrets = {tenant: pydantic.SecretStr(key) for tenant, key in configured.items()}

    tenant = keys.tenant_of({"x-api-key": offered}, secrets)

    if tenant is None:
        meant = offered.strip(" \t").encode("latin-1")
        assert not meant or meant not in {key.encode("utf-8", "surrogatepass") for key in configured.values()}
    else:
        assert configured[tenant].encode() == offered.strip(" \t").encode("latin-1")
