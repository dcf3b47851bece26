"""Recordings: upload one, and ask for one to be transcribed."""

from __future__ import annotations

from typing import Annotated

import fastapi

from aftercall.api import access, problems, views
from aftercall.consumers.intake import uploads
from aftercall.contracts import documents, errors, events, identity, reports

router = fastapi.APIRouter(prefix="/v1/recordings", tags=["recordings"])

_BODY = {
    "requestBody": {
        "description": "The recording: WAV, MP3, M4A, FLAC, OGG or AMR.",
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


_ASKED = {
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": views.TranscribeRequest.model_json_schema()}},
    }
}
_MAX_BODY_BYTES = 64 * 1024


@router.put(
    "/{tenant}/{call_id}",
    status_code=201,
    openapi_extra=_BODY,
    responses={
        200: {"model": views.Uploaded, "description": "This recording was here already"},
        **problems.responses(401, 403, 413, 422, 503, 507),
    },
)
async def upload(
    tenant: str,
    call_id: str,
    request: fastapi.Request,
    response: fastapi.Response,
    found: access.Service,
    caller: access.Caller,
    language: Annotated[str | None, fastapi.Query(min_length=2, max_length=16)] = None,
) -> views.Uploaded:
    """Upload a recording and queue it. The same content again changes nothing and answers 200."""
    tenant, call_id = access.parse_id(tenant, what="tenant"), access.parse_id(call_id, what="call_id")
    if caller is not None and caller != tenant:
        raise problems.ProblemError(403, "this API key is another tenant's")
    access.must_be_enabled(found)
    access.must_know(found, language)
    declared = request.headers.get("content-length", "")
    limit = found.settings.api.max_upload_bytes
    if declared.isdecimal() and int(declared) > limit:
        raise problems.ProblemError(413, f"the recording is larger than the {limit} bytes that are taken")
    try:
        kept = await found.uploads.store(identity.Recording(tenant, call_id), request.stream())
    except uploads.UploadTooLargeError as exc:
        raise problems.ProblemError(413, str(exc)) from exc
    event = events.RecordingReady(
        tenant=tenant,
        call_id=call_id,
        recording_id=call_id,
        recording_uri=kept.uri,
        version=kept.version,
        language=language,
    )
    work = identity.Work(event.recording, kept.version, 1)
    known = await found.intake.find(work.transcription_id)
    report = known or await found.intake.publish(event)
    response.status_code = 201 if known is None else 200
    return views.Uploaded(
        transcription_id=report.transcription_id,
        status=report.status,
        tenant=tenant,
        call_id=call_id,
        recording_id=call_id,
        version=kept.version,
    )


@router.post(
    "/{recording_id}/transcribe",
    status_code=202,
    openapi_extra=_ASKED,
    responses=problems.responses(400, 401, 403, 404, 409, 413, 422, 503, 507),
)
async def transcribe(
    recording_id: str,
    found: access.Service,
    caller: access.Caller,
    request: fastapi.Request,
    tenant: Annotated[str | None, fastapi.Query(description="Whose, where several tenants use the id.")] = None,
    idempotency_key: Annotated[str | None, fastapi.Header(min_length=1, max_length=255)] = None,
) -> views.Queued:
    """Transcribe a known recording, named by its own id or its call's.

    While it is queued or in work, the same request returns the same transcription. After that, each request is a new,
    deliberate transcription, unless it carries the `Idempotency-Key` of an earlier one.
    """
    id_ = access.parse_id(recording_id, what="recording_id")
    access.must_be_enabled(found)
    language = (await _asked(request)).language
    access.must_know(found, language)
    recording = one_recording(await found.intake.find_call(id_, tenant=caller if caller is not None else tenant), id_)
    report = await found.intake.publish_again(recording, language=language, request_key=idempotency_key)
    if report is None:
        raise problems.ProblemError(404, f"no recording {id_!r} is known")
    return views.Queued(transcription_id=report.transcription_id, status=report.status)


async def _asked(request: fastapi.Request) -> views.TranscribeRequest:
    """Read the body whatever type it says it has: people send JSON without saying so."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise problems.ProblemError(413, f"the request body is larger than {_MAX_BODY_BYTES} bytes")
    if not body.strip():
        return views.TranscribeRequest()
    try:
        plain = documents.load_object(body, what="the request body")
    except errors.ContractError as exc:
        raise problems.ProblemError(400, str(exc)) from exc
    try:
        return documents.validate(views.TranscribeRequest, plain, what="the request body")
    except errors.ContractError as exc:
        raise problems.ProblemError(422, str(exc)) from exc


def one_recording(known: list[reports.WorkReport], id_: str) -> identity.Recording:
    """Return the one recording that an id means."""
    meant = {identity.Recording(report.tenant, report.recording_id) for report in known}
    exact = {recording for recording in meant if recording.recording_id == id_}
    meant = exact or meant
    if not meant:
        raise problems.ProblemError(404, f"no recording {id_!r} is known")
    if len(meant) > 1:
        several = "tenants" if len({recording.tenant for recording in meant}) > 1 else "recordings"
        hint = "say which with ?tenant=" if several == "tenants" else "name one by its recording id"
        raise problems.ProblemError(409, f"{id_!r} is the id of several {several}; {hint}")
    return meant.pop()
