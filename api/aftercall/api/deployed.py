"""The REST API of a deployment: what lies in S3 and on topics, told per request; transcripts by presigned addresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Protocol

import fastapi
import pydantic
from starlette.responses import RedirectResponse

from aftercall.api import access, audio, counting, desk, frame, ingest, problems, service, transcriptions, views
from aftercall.consumers import observer
from aftercall.consumers.transcript import formats
from aftercall.contracts import identity, reports

_DESCRIPTION = """Where transcriptions are, and what was said; webhooks name these addresses.

Every request carries a tenant's API key: `Authorization: Bearer …` or `X-API-Key`. Other tenants' ids answer 404."""


class Tracker(Protocol):
    """Where work is, wherever it lies."""

    async def find_transcription(self, transcription_id: str) -> reports.WorkReport | None:
        """Return the work of this id."""
        ...

    async def find(self, tenant: str, id_: str) -> list[reports.WorkReport]:
        """Return all work on recordings whose call id or recording id is `id_`, newest first."""
        ...


class Published(service.Published, Protocol):
    """Where outcomes and transcripts are read."""

    async def is_deleted(self, recording: identity.Recording) -> bool:
        """Say whether the recording has been deleted on purpose."""
        ...


def build_deployed(
    api_keys: Mapping[str, pydantic.SecretStr],
    tracker: Tracker,
    published: Published,
    presign: Callable[[str], Awaitable[str]],
    callbacks: ingest.Callbacks,
    at: desk.Desk | None,
    observe: observer.Observer,
) -> fastapi.FastAPI:
    """Build the application; `presign(key)` returns an address that gives an object for some minutes.

    Without a desk, OpenAI's clients are not served. `observe` counts requests.
    """
    app = frame.build(_DESCRIPTION, api_keys=api_keys, signed=frozenset({ingest.TWILIO_PATH}))
    app.include_router(ingest.build_router(callbacks))
    if at is not None:
        # Which languages the model knows is found out by whoever has the model.
        app.include_router(audio.build_router(at, knows=lambda language: language))
    router = fastapi.APIRouter(prefix="/v1", tags=["transcriptions"], responses=problems.responses(*problems.ANY))

    @router.get("/transcriptions/{transcription_id}", responses=problems.responses(404))
    async def show(transcription_id: str, caller: access.Caller) -> views.Transcription:
        """Say where a transcription is; once it is completed, with its text in lines like `[00:00:01] Alice: …`."""
        report = transcriptions.owned(await tracker.find_transcription(transcription_id), caller)
        decided = await published.read(transcriptions.work_of(report))
        return views.transcription(report, None if decided is None else await published.read_transcript(decided))

    @router.get(
        "/transcriptions/{transcription_id}/transcript",
        response_class=fastapi.Response,
        responses={
            **transcriptions.RENDERED,
            307: {"description": "Where the document lies, for some minutes"},
            **problems.responses(404, 409),
        },
    )
    async def transcript(
        transcription_id: str, query: Annotated[transcriptions.FormatQuery, fastapi.Query()], caller: access.Caller
    ) -> fastapi.Response:
        """Send on to the document itself, at an address signed for some minutes; other forms are written here."""
        report = transcriptions.owned(await tracker.find_transcription(transcription_id), caller)
        work = transcriptions.work_of(report)
        decided = await published.read(work)
        if decided is None or decided.transcript_key is None or await published.is_deleted(work.recording):
            raise transcriptions.missing(report)
        if query.format is formats.Format.JSON:
            return RedirectResponse(await presign(decided.transcript_key), 307)
        made = await published.read_transcript(decided)
        if made is None:
            raise transcriptions.missing(report)
        return await transcriptions.rendered(made, query.format)

    @router.get("/calls/{call_id}", responses=problems.responses(404))
    async def call(
        call_id: access.CallId, query: Annotated[transcriptions.CallQuery, fastapi.Query()], caller: access.Caller
    ) -> views.Listing:
        """Say where a call is: every transcription of its recordings, newest first, without what was said."""
        tenant = access.whose(caller, query.tenant)
        if tenant is None:
            raise problems.ProblemError(422, "tenant: an id alone does not say whose call it is")
        known = await tracker.find(tenant, call_id)
        if not known:
            raise problems.ProblemError(404, f"no call {call_id!r} is known")
        return views.Listing(transcriptions=[views.summary(report) for report in known], next=None)

    app.include_router(router)
    app.add_middleware(counting.Counting, paths=tuple(app.openapi()["paths"]), observe=observe)
    return app
