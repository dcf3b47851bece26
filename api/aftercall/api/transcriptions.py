"""Transcriptions: where they are, and what was said."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import fastapi
import pydantic

from aftercall.api import access, problems, service, views
from aftercall.consumers.transcript import formats
from aftercall.contracts import identity, outcomes, reports, transcript

router = fastapi.APIRouter(prefix="/v1", tags=["transcriptions"], responses=problems.responses(*problems.ANY))

_POLL_AFTER_S = 2
RENDERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript in the form asked for",
        "content": {media_type: {} for media_type in formats.MEDIA_TYPES.values()},
    }
}


class FormatQuery(access.Query):
    """In which form."""

    format: formats.Format = formats.Format.JSON
    """The form: the transcript document, plain text, captions, or the JSON that whisperX writes."""


class ListQuery(access.Query):
    """Which transcriptions."""

    tenant: access.Tenant | None = None
    """Only this tenant's."""
    call_id: access.CallId | None = None
    """Only those of this call, or of the recording of this id."""
    limit: Annotated[int, pydantic.Field(ge=1, le=1000)] = 100
    """How many at most."""
    before: Annotated[str, pydantic.Field(pattern=r"^tr_[0-9a-f]{1,32}$")] | None = None
    """Only what comes after this transcription in the list: the `next` of the page before."""


class CallQuery(access.Query):
    """Whose call."""

    tenant: access.Tenant | None = None
    """Only this tenant's, where several tenants use the id."""


@router.get("/transcriptions/{transcription_id}", responses=problems.responses(404))
async def show(transcription_id: str, found: access.Service, caller: access.Caller) -> views.Transcription:
    """Say where a transcription is; once it is completed, with its text in lines like `[00:00:01] Alice: …`."""
    report = await _find(found, transcription_id, caller)
    return views.transcription(report, await _transcript(found, report))


@router.get(
    "/transcriptions/{transcription_id}/transcript",
    response_class=fastapi.Response,
    responses={**RENDERED, **problems.responses(404, 409)},
)
async def render(
    transcription_id: str,
    query: Annotated[FormatQuery, fastapi.Query()],
    found: access.Service,
    caller: access.Caller,
) -> fastapi.Response:
    """Return a transcript as JSON, text, SRT, VTT or WhisperX JSON; 409 while there is none."""
    report = await _find(found, transcription_id, caller)
    made = await _transcript(found, report)
    if made is None:
        raise missing(report)
    return await rendered(made, query.format)


@router.get("/transcriptions", responses=problems.responses(404))
async def list_all(
    query: Annotated[ListQuery, fastapi.Query()], found: access.Service, caller: access.Caller
) -> views.Listing:
    """List transcriptions, newest first, without what was said; the next page is `?before=` this one's `next`."""
    tenant = access.whose(caller, query.tenant)
    if query.before is not None:
        await _find(found, query.before, caller)
    if query.call_id is None:
        known = await found.intake.list_reports(tenant=tenant, before=query.before, limit=query.limit + 1)
    else:
        known = await found.intake.find_call(query.call_id, tenant=tenant)
        ids = [report.transcription_id for report in known]
        known = known[ids.index(query.before) + 1 if query.before in ids else 0 :]
    page = known[: query.limit]
    return views.Listing(
        transcriptions=[views.summary(report) for report in page],
        next=page[-1].transcription_id if len(known) > len(page) else None,
    )


@router.get("/calls/{call_id}", responses=problems.responses(404))
async def call(
    call_id: access.CallId,
    query: Annotated[CallQuery, fastapi.Query()],
    found: access.Service,
    caller: access.Caller,
) -> views.Listing:
    """Say where a call is: every transcription of its recordings, newest first, without what was said."""
    known = await found.intake.find_call(call_id, tenant=access.whose(caller, query.tenant))
    if not known:
        raise problems.ProblemError(404, f"no call {call_id!r} is known")
    return views.Listing(transcriptions=[views.summary(report) for report in known], next=None)


async def _find(found: service.Service, transcription_id: str, caller: str | None) -> reports.WorkReport:
    return owned(await found.intake.find(transcription_id), caller)


async def _transcript(found: service.Service, report: reports.WorkReport) -> transcript.Transcript | None:
    if report.outcome is not outcomes.Kind.CANONICAL:
        return None
    decided = await found.publisher.read(work_of(report))
    return None if decided is None else await found.publisher.read_transcript(decided)


def owned(report: reports.WorkReport | None, caller: str | None) -> reports.WorkReport:
    """Return a report that the caller may see; another tenant's is answered like one that does not exist."""
    # So that ids cannot be tried out.
    if report is None or (caller is not None and report.tenant != caller):
        raise problems.ProblemError(404, "no such transcription is known")
    return report


def work_of(report: reports.WorkReport) -> identity.Work:
    """Return which work a report is of."""
    return identity.Work(identity.Recording(report.tenant, report.recording_id), report.version, report.generation)


async def rendered(made: transcript.Transcript, form: formats.Format) -> fastapi.Response:
    """Answer with a transcript in a form."""
    # A day's call takes about a second to write, which other requests need not wait for.
    body = await asyncio.to_thread(formats.render, made, form)
    return fastapi.Response(body, media_type=formats.MEDIA_TYPES[form])


def missing(report: reports.WorkReport) -> problems.ProblemError:
    """Say why there is no transcript."""
    match report.status:
        case reports.Status.FAILED:
            told = f"there is no transcript: the recording is {report.outcome} ({report.reason})"
            return problems.ProblemError(409, f"{told}: {report.message}" if report.message else told)
        case reports.Status.COMPLETED:
            return problems.ProblemError(404, "the transcript has been deleted")
        case _:
            retry = {"Retry-After": str(_POLL_AFTER_S)}
            return problems.ProblemError(409, f"there is no transcript yet: it is {report.status}", headers=retry)
