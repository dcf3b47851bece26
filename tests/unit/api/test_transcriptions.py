"""Where a transcription is, and what was said."""

from __future__ import annotations

import json

import api_service
import doubles
import pytest

from aftercall.contracts import outcomes, reports


@pytest.fixture
def service() -> api_service.MemoryService:
    """Build a service without keys."""
    return api_service.MemoryService()


async def test_what_is_not_known_yet_is_null(service: api_service.MemoryService) -> None:
    """Never zero, and never missing."""
    async with api_service.client(service) as client:
        id_ = await api_service.upload(client)
        answer = await client.get(f"/v1/transcriptions/{id_}")

    assert {
        "transcriptionId": id_,
        "tenant": "acme",
        "callId": "c1",
        "recordingId": "c1",
        "version": service.intake.reports[0].version,
        "generation": 1,
        "status": "queued",
        "stage": "queued",
        "progress": None,
        "queuePosition": 0,
        "attempts": 0,
        "waitingReason": None,
        "outcome": None,
        "reason": None,
        "message": None,
        "audioSeconds": None,
        "createdAt": "1970-01-01T00:16:40Z",
        "updatedAt": "1970-01-01T00:16:40Z",
        "language": None,
        "duration": None,
        "segmentCount": None,
        "coverage": None,
        "text": None,
    } == answer.json()


async def test_work_in_progress_tells_its_stage(service: api_service.MemoryService) -> None:
    """And how far it is."""
    async with api_service.client(service) as client:
        id_ = await api_service.upload(client)
        service.intake.change(
            id_,
            status=reports.Status.PROCESSING,
            stage=reports.Stage.TRANSCRIBING,
            progress=0.25,
            attempts=2,
            audio_s=120.5,
            queue_position=None,
        )
        told = (await client.get(f"/v1/transcriptions/{id_}")).json()

    shown = [told[name] for name in ("status", "stage", "progress", "attempts", "audioSeconds", "queuePosition")]
    assert ["processing", "transcribing", 0.25, 2, 120.5, None] == shown


async def test_work_that_waits_says_why(service: api_service.MemoryService) -> None:
    """In a word and in a sentence."""
    async with api_service.client(service) as client:
        id_ = await api_service.upload(client)
        service.intake.change(id_, waiting_reason=outcomes.Reason.DISK_FULL, message="the disk is full")
        told = (await client.get(f"/v1/transcriptions/{id_}")).json()

    assert ("queued", "disk_full", "the disk is full") == (told["status"], told["waitingReason"], told["message"])


async def test_a_completed_transcription_has_its_text(service: api_service.MemoryService) -> None:
    """In lines with time and name, and numbers that are numbers."""
    async with api_service.client(service) as client:
        id_ = await api_service.upload(client)
        service.complete(id_, doubles.made(texts=("hello there", "hi")))
        told = (await client.get(f"/v1/transcriptions/{id_}")).json()

    assert ("completed", "done", "canonical") == (told["status"], told["stage"], told["outcome"])
    assert ("en", 10.0, 2, 0.8) == (told["language"], told["duration"], told["segmentCount"], told["coverage"])
    assert "[00:00:00] Alice: hello there\n[00:00:02] Customer: hi\n" == told["text"]


async def test_silence_is_completed_and_says_nothing(service: api_service.MemoryService) -> None:
    """No text is known to be no text: an empty string and zero segments, not null."""
    made = doubles.made(texts=()).model_copy(
        update={"language": None, "coverage": doubles.made().coverage.model_copy(update={"ratio": None})}
    )
    async with api_service.client(service) as client:
        id_ = await api_service.upload(client)
        service.complete(id_, made)
        told = (await client.get(f"/v1/transcriptions/{id_}")).json()

    assert ("", 0, None, None) == (told["text"], told["segmentCount"], told["coverage"], told["language"])


@pytest.mark.parametrize("kind", [outcomes.Kind.REJECTED, outcomes.Kind.DEAD])
async def test_what_ended_without_a_transcript_is_failed_and_says_why(
    service: api_service.MemoryService, kind: outcomes.Kind
) -> None:
    """By its outcome, its reason and a sentence; and there is no transcript to get."""
    async with api_service.client(service) as client:
        id_ = await api_service.upload(client)
        service.end(id_, kind, outcomes.Reason.EMPTY_FILE, "the recording is an empty file")
        told = (await client.get(f"/v1/transcriptions/{id_}")).json()
        refused = await client.get(f"/v1/transcriptions/{id_}/transcript")

    assert ("failed", kind, "empty_file") == (told["status"], told["outcome"], told["reason"])
    assert ("the recording is an empty file", None) == (told["message"], told["text"])
    assert 409 == refused.status_code
    detail = api_service.problem_of(refused)
    assert f"{kind} (empty_file): the recording is an empty file" in detail
    assert "retry-after" not in refused.headers


@pytest.mark.parametrize("status", [reports.Status.QUEUED, reports.Status.PROCESSING])
async def test_a_transcript_that_is_not_there_yet_says_when_to_ask_again(
    service: api_service.MemoryService, status: reports.Status
) -> None:
    """409, not an empty transcript."""
    async with api_service.client(service) as client:
        id_ = await api_service.upload(client)
        service.intake.change(id_, status=status)
        answer = await client.get(f"/v1/transcriptions/{id_}/transcript")

    assert (409, "2") == (answer.status_code, answer.headers["retry-after"])
    assert f"it is {status}" in api_service.problem_of(answer)


async def test_a_deleted_transcript_is_gone(service: api_service.MemoryService) -> None:
    """404 for it, and nothing of it in what is told of the work."""
    async with api_service.client(service) as client:
        id_ = await api_service.upload(client)
        service.complete(id_, None)
        told = (await client.get(f"/v1/transcriptions/{id_}")).json()
        answer = await client.get(f"/v1/transcriptions/{id_}/transcript")

    assert ("completed", None, None) == (told["status"], told["text"], told["duration"])
    assert 404 == answer.status_code
    assert "deleted" in api_service.problem_of(answer)


@pytest.mark.parametrize(
    ("form", "media_type", "begins"),
    [
        (None, "application/json", "{"),
        ("json", "application/json", "{"),
        ("text", "text/plain; charset=utf-8", "[00:00:00] Alice: hello there\n"),
        ("srt", "application/x-subrip; charset=utf-8", "1\n00:00:00,000 --> "),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n"),
        ("whisperx", "application/json", "{"),
    ],
)
async def test_a_transcript_comes_in_every_form(
    service: api_service.MemoryService, form: str | None, media_type: str, begins: str
) -> None:
    """With the media type of it."""
    async with api_service.client(service) as client:
        id_ = await api_service.upload(client)
        service.complete(id_, doubles.made())
        answer = await client.get(
            f"/v1/transcriptions/{id_}/transcript", params={} if form is None else {"format": form}
        )

    assert (200, media_type) == (answer.status_code, answer.headers["content-type"])
    assert answer.text.startswith(begins)
    if form in {None, "json"}:
        assert json.loads(doubles.made().model_dump_json()) == answer.json()
    if form == "whisperx":
        assert ["hello", "there"] == [word["word"] for word in answer.json()["word_segments"]]


@pytest.mark.parametrize("query", ["format=zip", "format=", "format=JSON", "fromat=srt", "format=srt&format=zip"])
async def test_a_form_that_does_not_exist_is_refused(service: api_service.MemoryService, query: str) -> None:
    """422 and the forms that do."""
    async with api_service.client(service) as client:
        id_ = await api_service.upload(client)
        service.complete(id_, doubles.made())
        answer = await client.get(f"/v1/transcriptions/{id_}/transcript?{query}")

    assert 422 == answer.status_code
    assert api_service.problem_of(answer)


@pytest.mark.parametrize("id_", ["tr_1", "..%00", "x" * 5000, "%E9%80%9A"])
async def test_an_id_that_does_not_exist_is_not_found(service: api_service.MemoryService, id_: str) -> None:
    """Whatever it is made of."""
    async with api_service.client(service) as client:
        for path in (f"/v1/transcriptions/{id_}", f"/v1/transcriptions/{id_}/transcript"):
            answer = await client.get(path)

            assert 404 == answer.status_code
            assert "no such transcription is known" == api_service.problem_of(answer)


async def test_the_list_is_newest_first_and_can_be_narrowed(service: api_service.MemoryService) -> None:
    """By tenant, by call, and in length; without what was said."""
    async with api_service.client(service) as client:
        for tenant, call_id in (("acme", "c1"), ("globex", "c1"), ("acme", "c2")):
            service.complete(await api_service.upload(client, tenant, call_id), doubles.made())

        async def listed(query: str) -> list[tuple[str, str]]:
            answer = await client.get(f"/v1/transcriptions?{query}")
            assert 200 == answer.status_code
            assert "text" not in answer.text
            return [(one["tenant"], one["callId"]) for one in answer.json()["transcriptions"]]

        assert [("acme", "c2"), ("globex", "c1"), ("acme", "c1")] == await listed("")
        assert [("acme", "c2"), ("acme", "c1")] == await listed("tenant=acme")
        assert [("globex", "c1"), ("acme", "c1")] == await listed("call_id=c1")
        assert [("globex", "c1")] == await listed("call_id=c1&limit=1")
        assert [("acme", "c1")] == await listed("call_id=c1&tenant=acme")
        assert [("acme", "c2")] == await listed("limit=1")
        assert [] == await listed("tenant=nobody")


@pytest.mark.parametrize("narrowed", ["", "&call_id=c1"])
async def test_pages_show_everything_once(service: api_service.MemoryService, narrowed: str) -> None:
    """Until there is no next one, and whatever is queued meanwhile."""
    for recording_id in ("r1", "r2", "r3", "r4", "r5"):
        await service.intake.publish(doubles.event("c1", recording_id=recording_id))
    pages, query = [], f"limit=2{narrowed}"
    async with api_service.client(service) as client:
        while query:
            page = (await client.get(f"/v1/transcriptions?{query}")).json()
            pages.append([one["recordingId"] for one in page["transcriptions"]])
            query = f"limit=2{narrowed}&before={page['next']}" if page["next"] else ""
            await service.intake.publish(doubles.event("c1", recording_id=f"later-{len(pages)}"))
        unknown = await client.get("/v1/transcriptions?before=tr_0")

    assert [["r5", "r4"], ["r3", "r2"], ["r1"]] == pages
    assert 404 == unknown.status_code


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=ten", "limit=1e9", "call_id=..", "tenant=a%00", "page=2", "limit=", "before=c1"],
)
async def test_a_list_that_cannot_be_made_is_refused(service: api_service.MemoryService, query: str) -> None:
    """422, not a list of something else."""
    async with api_service.client(service) as client:
        answer = await client.get(f"/v1/transcriptions?{query}")

    assert 422 == answer.status_code
    assert query.partition("=")[0] in api_service.problem_of(answer)


async def test_a_call_is_all_work_on_its_recordings(service: api_service.MemoryService) -> None:
    """Newest first; a call that is not known is not found."""
    for recording_id in ("r1", "r2"):
        await service.intake.publish(doubles.event("call", recording_id=recording_id))
    async with api_service.client(service) as client:
        found = await client.get("/v1/calls/call")
        one = await client.get("/v1/calls/r1")
        unknown = await client.get("/v1/calls/other")

    assert ["r2", "r1"] == [work["recordingId"] for work in found.json()["transcriptions"]]
    assert ["r1"] == [work["recordingId"] for work in one.json()["transcriptions"]]
    assert 404 == unknown.status_code
    assert "no call 'other' is known" == api_service.problem_of(unknown)


TENANTS = ("acme", "globex")


@pytest.mark.parametrize("asking", TENANTS)
@pytest.mark.parametrize("owner", TENANTS)
async def test_a_key_reads_its_own_tenants_calls_and_nobody_elses(asking: str, owner: str) -> None:
    """Another tenant's ids answer as ids that do not exist, so that nobody can find out which do."""
    service = api_service.MemoryService(keys={tenant: f"key of {tenant}".replace(" ", "-") for tenant in TENANTS})
    async with (
        api_service.client(service, key=f"key-of-{owner}") as theirs,
        api_service.client(service, key=f"key-of-{asking}") as client,
    ):
        id_ = await api_service.upload(theirs, owner, "shared")
        service.complete(id_, doubles.made())
        reads = {
            f"/v1/transcriptions/{id_}": "/v1/transcriptions/tr_none",
            f"/v1/transcriptions/{id_}/transcript": "/v1/transcriptions/tr_none/transcript",
            "/v1/calls/shared": "/v1/calls/none",
        }
        for path, nothing in reads.items():
            answer, unknown = await client.get(path), await client.get(nothing)

            assert (200 if asking == owner else 404) == answer.status_code
            if asking != owner:
                same = api_service.problem_of(answer).replace("shared", "none")
                assert api_service.problem_of(unknown) == same
        for query in ("", "?call_id=shared"):
            listed = (await client.get(f"/v1/transcriptions{query}")).json()["transcriptions"]
            assert ([id_] if asking == owner else []) == [one["transcriptionId"] for one in listed]
        for path in ("/v1/transcriptions", "/v1/calls/shared"):
            answer = await client.get(f"{path}?tenant={owner}")
            assert (200 if asking == owner else 403) == answer.status_code
