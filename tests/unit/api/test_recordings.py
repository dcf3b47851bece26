"""Uploading a recording, and asking for one to be transcribed."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import api_service
import doubles
import pytest
from starlette import types

from aftercall.api import app
from aftercall.contracts import errors, events, identity, outcomes, reports
from aftercall.serve import testing


@pytest.fixture
def service() -> api_service.MemoryService:
    """Build a service without keys."""
    return api_service.MemoryService()


async def test_an_upload_is_kept_and_queued(service: api_service.MemoryService) -> None:
    """201, where to ask after it, and an event with all that was said of it."""
    async with api_service.client(service) as client:
        answer = await client.put(
            "/v1/recordings/acme/c1",
            params={"language": "en-US", "channel": ["agent:Alice", " customer "]},
            content=b"RIFF",
        )

    (report,) = service.intake.reports
    told = answer.json()
    assert {
        "tenant": "acme",
        "callId": "c1",
        "recordingId": "c1",
        "version": report.version,
        "transcriptionId": report.transcription_id,
        "status": "queued",
    } == told
    assert (201, f"/v1/transcriptions/{report.transcription_id}") == (answer.status_code, answer.headers["location"])
    assert {identity.Recording("acme", "c1"): b"RIFF"} == service.uploads.kept
    event = service.intake.events[report.transcription_id]
    assert ("memory:///c1", "en") == (event.recording_uri, event.language)
    assert (
        events.Channel(index=0, role="agent", name="Alice"),
        events.Channel(index=1, role="customer", name=None),
    ) == event.channels


async def test_the_same_upload_again_changes_nothing(service: api_service.MemoryService) -> None:
    """200 and the same transcription, in whatever state it is by then."""
    async with api_service.client(service) as client:
        first = await api_service.upload(client)
        service.complete(first, doubles.made())
        again = await client.put("/v1/recordings/acme/c1", content=b"RIFF")

    assert (200, first, "completed") == (again.status_code, again.json()["transcriptionId"], again.json()["status"])
    assert 1 == len(service.intake.reports)


async def test_other_content_is_another_version(service: api_service.MemoryService) -> None:
    """Of the same recording, transcribed for itself."""
    async with api_service.client(service) as client:
        first = await api_service.upload(client, content=b"RIFF")
        other = await api_service.upload(client, content=b"fLaC")

    assert first != other
    assert [1, 1] == [report.generation for report in service.intake.reports]


@pytest.mark.parametrize(
    ("path", "tenant", "call_id"),
    [
        ("acme/Call%20(7)", "acme", "Call (7)"),
        ("acme/cafe%CC%81", "acme", "caf\u00e9"),
        ("%D7%90/%E9%80%9A%E8%AF%9D", "\u05d0", "\u901a\u8bdd"),
        ("acme/a%252Fb", "acme", "a%2Fb"),
        ("acme/...", "acme", "..."),
        ("acme/" + "x" * 200, "acme", "x" * 200),
    ],
)
async def test_ids_are_of_any_script(service: api_service.MemoryService, path: str, tenant: str, call_id: str) -> None:
    """In NFC, decoded once."""
    async with api_service.client(service) as client:
        answer = await client.put(f"/v1/recordings/{path}", content=b"x")

    assert (201, tenant, call_id) == (answer.status_code, answer.json()["tenant"], answer.json()["callId"])
    assert [identity.Recording(tenant, call_id)] == list(service.uploads.kept)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("acme/a%00b", "call_id 'a\\x00b' holds a control character"),
        ("acme/%2e%2e", "call_id '..' is a path, not an id"),
        ("%2e%2e/c1", "tenant '..' is a path, not an id"),
        ("acme/a%5Cb", "call_id 'a\\\\b' holds a slash"),
        ("acme/%20", "call_id is empty"),
        ("acme/" + "x" * 1100, "call_id has 1100 characters; at most 200 are allowed"),
        ("acme/" + "%C3%A9" * 550, "call_id has 550 characters; at most 200 are allowed"),
        ("acme/%0A", "call_id is empty"),
        ("acme/a%0Ab", "call_id 'a\\nb' holds a control character"),
    ],
)
async def test_an_id_that_cannot_be_one_is_told_why(service: api_service.MemoryService, path: str, told: str) -> None:
    """422, one sentence, nothing kept."""
    async with api_service.client(service) as client:
        for method, where in (("PUT", f"/v1/recordings/{path}"), ("GET", f"/v1/calls/{path.partition('/')[2]}")):
            answer = await client.request(method, where, content=b"x")

            if "tenant" in told and method == "GET":
                continue
            assert 422 == answer.status_code
            assert told == api_service.problem_of(answer)
    assert ({}, []) == (service.uploads.kept, service.intake.reports)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("language=tlh", "language 'tlh' is not one that the model knows"),
        ("language=e", "language: "),
        ("langauge=en", "langauge is not a name that this request knows"),
        ("channel=", "names no role"),
        ("channel=%20:Alice", "names no role"),
        ("channel=agent:Ali%0Ace", "printable"),
        ("channel=" + "x" * 41, "printable"),
        ("channel=agent:" + "x" * 201, "printable"),
        ("&".join(["channel=agent"] * 65), "at most 64 items"),
    ],
)
async def test_what_is_said_of_a_recording_is_checked_before_it_is_read(
    service: api_service.MemoryService, query: str, told: str
) -> None:
    """422, and not a byte of it was kept."""
    async with api_service.client(service) as client:
        answer = await client.put(f"/v1/recordings/acme/c1?{query}", content=b"RIFF")

    assert 422 == answer.status_code
    assert told in api_service.problem_of(answer)
    assert {} == service.uploads.kept


async def test_another_tenants_key_uploads_nothing() -> None:
    """403: the address names the tenant, so there is nothing to hide."""
    service = api_service.MemoryService(keys={"acme": "a", "globex": "b"})
    async with api_service.client(service, key="b") as client:
        answer = await client.put("/v1/recordings/acme/c1", content=b"RIFF")

    assert 403 == answer.status_code
    assert "another tenant's" in api_service.problem_of(answer)
    assert {} == service.uploads.kept


@pytest.mark.parametrize("declared", [True, False])
async def test_a_recording_that_is_too_large_is_not_kept(declared: bool) -> None:
    """By what it says, and by what comes."""
    service = api_service.MemoryService(max_upload_bytes=10)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 6
        yield b"x" * 6

    async with api_service.client(service) as client:
        answer = await client.put("/v1/recordings/acme/c1", content=b"x" * 12 if declared else chunks())
        fits = await client.put("/v1/recordings/acme/c1", content=b"x" * 10)

    assert 413 == answer.status_code
    assert "10 bytes" in api_service.problem_of(answer)
    assert 201 == fits.status_code


@pytest.mark.parametrize("chunks", [[], [b"", b""]])
async def test_an_empty_upload_is_refused_at_once(service: api_service.MemoryService, chunks: list[bytes]) -> None:
    """Its sender learns it now, not after a turn in the queue."""

    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async with api_service.client(service) as client:
        answer = await client.put("/v1/recordings/acme/c1", content=body())

    assert 400 == answer.status_code
    assert "no body" in api_service.problem_of(answer)
    assert ({}, []) == (service.uploads.kept, service.intake.reports)


async def test_a_full_disk_is_told_and_nothing_is_queued(service: api_service.MemoryService) -> None:
    """507, and when to come back."""
    service.uploads.failure = errors.TransientError(
        "the disk is full", reason=outcomes.Reason.DISK_FULL, retry_after_s=30
    )
    async with api_service.client(service) as client:
        answer = await client.put("/v1/recordings/acme/c1", content=b"RIFF")

    assert (507, "30") == (answer.status_code, answer.headers["retry-after"])
    assert "the disk is full" in api_service.problem_of(answer)
    assert [] == service.intake.reports


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/recordings/acme/c1"), ("POST", "/v1/recordings/c1/transcribe")]
)
async def test_switched_off_it_takes_nothing(method: str, path: str) -> None:
    """503 in one sentence that names the setting; reading goes on."""
    service = api_service.MemoryService(enabled=False)
    async with api_service.client(service) as client:
        answer = await client.request(method, path, content=b"")
        listing = await client.get("/v1/transcriptions")

    assert (503, 200) == (answer.status_code, listing.status_code)
    assert "intake.enabled" in api_service.problem_of(answer)
    assert {} == service.uploads.kept


async def test_a_client_that_goes_away_leaves_nothing(service: api_service.MemoryService) -> None:
    """Nothing is kept and nothing queued, and it is not an error of ours."""
    sent: list[types.Message] = []
    coming: list[types.Message] = [
        {"type": "http.request", "body": b"RIFF", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> types.Message:
        return coming.pop(0)

    async def send(message: types.Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "path": "/v1/recordings/acme/c1",
        "raw_path": b"/v1/recordings/acme/c1",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8400")],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8400),
    }
    await app.build_app(service)(scope, receive, send)

    assert 400 == sent[0]["status"]
    assert ({}, []) == (service.uploads.kept, service.intake.reports)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"language": null}', b'{"language": "en"}', b'{"language": "en-GB"}'])
async def test_work_that_is_open_is_not_doubled(service: api_service.MemoryService, body: bytes) -> None:
    """The same request while it is queued or in work gives the same transcription."""
    async with api_service.client(service) as client:
        await client.put("/v1/recordings/acme/c1?language=en", content=b"RIFF")
        first = service.intake.reports[0].transcription_id
        for status in (reports.Status.QUEUED, reports.Status.PROCESSING):
            service.intake.change(first, status=status)
            answer = await client.post("/v1/recordings/c1/transcribe", content=body)

            assert 202 == answer.status_code
            assert {"transcriptionId": first, "status": status} == answer.json()
            assert f"/v1/transcriptions/{first}" == answer.headers["location"]


async def test_another_language_is_another_request(service: api_service.MemoryService) -> None:
    """Even while the first is open; and it is what the event then says."""
    async with api_service.client(service) as client:
        first = await api_service.upload(client)
        answer = await client.post("/v1/recordings/c1/transcribe", json={"language": "ES"})

    second = answer.json()["transcriptionId"]
    assert first != second
    assert ("es", 2) == (service.intake.events[second].language, service.intake.events[second].generation)


async def test_after_the_end_each_request_is_a_new_transcription(service: api_service.MemoryService) -> None:
    """Unless it carries the key of an earlier one."""
    async with api_service.client(service) as client:
        ids = [await api_service.upload(client)]
        for _ in range(2):
            service.complete(ids[-1], doubles.made())
            answer = await client.post("/v1/recordings/c1/transcribe", headers={"Idempotency-Key": "k"})
            ids.append(answer.json()["transcriptionId"])
        service.complete(ids[-1], doubles.made())
        ids.append((await client.post("/v1/recordings/c1/transcribe")).json()["transcriptionId"])

    first, keyed, repeated, plain = ids
    assert keyed == repeated
    assert 3 == len({first, keyed, plain})
    assert [1, 2, 3] == [report.generation for report in service.intake.reports]


async def test_a_key_of_another_request_is_refused(service: api_service.MemoryService) -> None:
    """It is a client's mistake, and answering it with the other call would be worse."""
    async with api_service.client(service) as client:
        for call_id in ("c1", "c2"):
            await api_service.upload(client, call_id=call_id)
        first = await client.post("/v1/recordings/c1/transcribe", headers={"Idempotency-Key": "k"})
        other = await client.post("/v1/recordings/c2/transcribe", headers={"Idempotency-Key": "k"})
        language = await client.post(
            "/v1/recordings/c1/transcribe", headers={"Idempotency-Key": "k"}, json={"language": "es"}
        )

    assert (202, 409, 409) == (first.status_code, other.status_code, language.status_code)
    assert "Idempotency-Key" in api_service.problem_of(other)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb", "é"])
async def test_an_idempotency_key_is_short_and_printable(service: api_service.MemoryService, key: str) -> None:
    """What cannot be logged or stored as it is would not be found again."""
    async with api_service.client(service) as client:
        await api_service.upload(client)
        answer = await client.post(
            "/v1/recordings/c1/transcribe", headers=[(b"Idempotency-Key", key.encode("latin-1"))]
        )

    assert 422 == answer.status_code
    assert "idempotency-key" in api_service.problem_of(answer).lower()


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{not json", 400, "is not JSON"),
        (b'{"language": "tlh"}', 422, "language 'tlh' is not one that the model knows"),
        (b'{"speed": 2}', 422, "speed is not a name that this request knows"),
        (b" " * 70_000, 413, "larger than 65536 bytes"),
    ],
)
async def test_a_request_that_cannot_be_done_is_told_why(
    service: api_service.MemoryService, body: bytes, status: int, told: str
) -> None:
    """And nothing is queued."""
    async with api_service.client(service) as client:
        await api_service.upload(client)
        answer = await client.post("/v1/recordings/c1/transcribe", content=body)

    assert status == answer.status_code
    assert told in api_service.problem_of(answer)
    assert 1 == len(service.intake.reports)


async def test_a_backend_that_does_not_tell_its_languages_is_asked(service: api_service.MemoryService) -> None:
    """Only the backend knows then; what is no language tag at all is still refused."""

    class Untold(testing.FakeBackend):
        info = dataclasses.replace(testing.INFO, languages=None)

    service.backend = Untold()
    async with api_service.client(service) as client:
        await api_service.upload(client)
        taken = await client.post("/v1/recordings/c1/transcribe", json={"language": "yue"})
        refused = await client.post("/v1/recordings/c1/transcribe", json={"language": "?!"})

    assert (202, 422) == (taken.status_code, refused.status_code)


async def test_a_recording_nobody_knows_is_not_found(service: api_service.MemoryService) -> None:
    """And neither is another tenant's."""
    keyed = api_service.MemoryService(keys={"acme": "a", "globex": "b"})
    async with api_service.client(service) as client:
        answer = await client.post("/v1/recordings/c1/transcribe")
    async with api_service.client(keyed, key="a") as owner, api_service.client(keyed, key="b") as stranger:
        await api_service.upload(owner)
        foreign = await stranger.post("/v1/recordings/c1/transcribe")

    assert (404, 404) == (answer.status_code, foreign.status_code)
    assert api_service.problem_of(answer) == api_service.problem_of(foreign)
    assert 1 == len(keyed.intake.reports)


async def test_an_id_of_several_tenants_wants_to_know_whose(service: api_service.MemoryService) -> None:
    """409 asks for ?tenant=, which then answers."""
    async with api_service.client(service) as client:
        mine = await api_service.upload(client, "acme")
        await api_service.upload(client, "globex")
        unclear = await client.post("/v1/recordings/c1/transcribe")
        clear = await client.post("/v1/recordings/c1/transcribe?tenant=acme")

    assert 409 == unclear.status_code
    assert "?tenant=" in api_service.problem_of(unclear)
    assert (202, mine) == (clear.status_code, clear.json()["transcriptionId"])


async def test_a_call_of_several_recordings_wants_to_know_which(service: api_service.MemoryService) -> None:
    """A recording's own id beats its being a call's."""
    for recording_id in ("r1", "r2"):
        await service.intake.publish(doubles.event("call", recording_id=recording_id))
    async with api_service.client(service) as client:
        unclear = await client.post("/v1/recordings/call/transcribe")
        clear = await client.post("/v1/recordings/r2/transcribe")
        await service.intake.publish(doubles.event("call"))
        own = await client.post("/v1/recordings/call/transcribe")

    assert 409 == unclear.status_code
    assert "by its own id" in api_service.problem_of(unclear)
    ids = [report.transcription_id for report in service.intake.reports]
    assert [ids[1], ids[2]] == [clear.json()["transcriptionId"], own.json()["transcriptionId"]]
