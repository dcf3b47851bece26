"""Transcriptions: where they are, and what was said."""

from __future__ import annotations

from typing import Annotated, Any

import fastapi

from aftercall.api import access, problems, service, views
from aftercall.consumers.transcript import formats
from aftercall.contracts import identity, outcomes, reports, transcript

router = fastapi.APIRouter(prefix="/v1", tags=["transcriptions"])

_RENDERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript in the form asked for",
        "content": {media_type: {} for media_type in formats.MEDIA_TYPES.values()},
    }
}


@router.get("/transcriptions/{transcription_id}", responses=problems.responses(401, 403, 404, 422, 503))
async def show(transcription_id: str, found: access.Service, caller: access.Caller) -> views.Transcription:
    """Say where a transcription is; once it is completed, with its text in lines like `[00:00:01] Alice: …`."""
    report = await _find(found, transcription_id, caller)
    return views.transcription(report, await _transcript(found, report))


@router.get(
    "/transcriptions/{transcription_id}/transcript",
    response_class=fastapi.Response,
    responses={**_RENDERED, **problems.responses(401, 403, 404, 409, 422, 503)},
)
async def render(
    transcription_id: str,
    found: access.Service,
    caller: access.Caller,
    form: Annotated[formats.Format, fastapi.Query(alias="format")] = formats.Format.JSON,
) -> fastapi.Response:
    """Return a transcript as JSON, text, SRT, VTT or WhisperX JSON; 409 while there is none."""
    report = await _find(found, transcription_id, caller)
    made = await _transcript(found, report)
    if made is None:
        if report.status is reports.Status.FAILED:
            raise problems.ProblemError(409, f"there is no transcript: {report.outcome}, {report.message}")
        if report.status is reports.Status.COMPLETED:
            raise problems.ProblemError(404, "the recording has been deleted")
        raise problems.ProblemError(409, f"the transcription is still {report.status}", headers={"Retry-After": "2"})
    return fastapi.Response(formats.render(made, form), media_type=formats.MEDIA_TYPES[form])


@router.get("/transcriptions", responses=problems.responses(401, 403, 422, 503))
async def list_all(
    found: access.Service,
    caller: access.Caller,
    tenant: Annotated[str | None, fastapi.Query()] = None,
    limit: Annotated[int, fastapi.Query(ge=1, le=1000)] = 100,
) -> views.Listing:
    """List transcriptions, newest first, without their text."""
    whose = caller if caller is not None else tenant
    known = await found.intake.list_reports(tenant=whose, limit=limit)
    return views.Listing(transcriptions=[views.transcription(report, None) for report in known])


@router.get("/calls/{call_id}", responses=problems.responses(401, 403, 404, 422, 503))
async def call(
    call_id: str,
    found: access.Service,
    caller: access.Caller,
    tenant: Annotated[str | None, fastapi.Query()] = None,
) -> views.Listing:
    """Say where a call is: every transcription of its recordings, newest first."""
    id_ = access.parse_id(call_id, what="call_id")
    known = await found.intake.find_call(id_, tenant=caller if caller is not None else tenant)
    if not known:
        raise problems.ProblemError(404, f"no call {id_!r} is known")
    return views.Listing(
        transcriptions=[views.transcription(report, await _transcript(found, report)) for report in known]
    )


async def _find(found: service.Service, transcription_id: str, caller: str | None) -> reports.WorkReport:
    report = await found.intake.find(transcription_id)
    # Another tenant's id is answered like one that does not exist, so that ids cannot be tried out.
    if report is None or (caller is not None and report.tenant != caller):
        raise problems.ProblemError(404, "no such transcription is known")
    return report


async def _transcript(found: service.Service, report: reports.WorkReport) -> transcript.Transcript | None:
    if report.outcome is not outcomes.Kind.CANONICAL:
        return None
    work = identity.Work(identity.Recording(report.tenant, report.recording_id), report.version, report.generation)
    decided = await found.publisher.read(work)
    return None if decided is None else await found.publisher.read_transcript(decided)
