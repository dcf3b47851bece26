"""Recordings: upload one, and ask for one to be transcribed."""

from __future__ import annotations

from typing import Annotated

import fastapi
import pydantic

from aftercall.api import access, bodies, problems, views
from aftercall.consumers.intake import delivery, uploads
from aftercall.contracts import events, identity, reports

router = fastapi.APIRouter(prefix="/v1/recordings", tags=["recordings"], responses=problems.responses(*problems.ANY))

_LOCATION = {"Location": {"description": "Where the transcription can be asked after", "schema": {"type": "string"}}}
_RECORDING = {
    "requestBody": {
        "description": "The recording: WAV, MP3, M4A, FLAC, OGG or AMR, under any media type.",
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_REQUEST = {
    "requestBody": {
        "description": "How to transcribe it; may be left out.",
        "required": False,
        "content": {"application/json": {"schema": views.TranscribeRequest.model_json_schema()}},
    }
}


# What `_parse_channel` allows as far as a pattern can say it; for readers of the documentation.
_CHANNEL = r"^(?!\s*(:|$))[^:\x00-\x1f\x7f-\x9f]{1,40}(:[^\x00-\x1f\x7f-\x9f]{0,200})?$"


def _parse_channel(value: str) -> str:
    role, _, name = value.partition(":")
    for part, longest in ((role, 40), (name, identity.MAX_ID_CHARS)):
        # Both are shown in transcripts and captions, where a line break would forge a line.
        if len(part) > longest or not part.isprintable():
            raise ValueError(f"channel {value[:40]!r} is not a role, or role:name, of printable characters")
    if not role.strip():
        raise ValueError(f"channel {value[:40]!r} names no role")
    return value


Channel = Annotated[
    str, pydantic.AfterValidator(_parse_channel), pydantic.Field(json_schema_extra={"pattern": _CHANNEL})
]


class UploadQuery(access.Query):
    """What is known of a recording beside its sound."""

    language: Annotated[str, pydantic.Field(pattern=access.LANGUAGE_PATTERN)] | None = None
    """Language spoken, such as `en`; detected when left out."""
    channel: Annotated[list[Channel], pydantic.Field(max_length=64)] = pydantic.Field(default_factory=list)
    """Who speaks on each channel, once for each in order: `role`, or `role:name`, such as `agent:Alice`."""

    def channels(self) -> tuple[events.Channel, ...]:
        """Return the channels as events name them."""
        parts = [value.partition(":") for value in self.channel]
        return tuple(
            events.Channel(index=index, role=role.strip(), name=name.strip() or None)
            for index, (role, _, name) in enumerate(parts)
        )


class TenantQuery(access.Query):
    """Whose."""

    tenant: access.Tenant | None = None
    """Whose, where several tenants use the id and no API key tells."""


@router.post(
    "/{recording_id}/transcribe",
    status_code=202,
    openapi_extra=_REQUEST,
    responses={
        202: {"description": "The transcription is queued, or was already", "headers": _LOCATION},
        **problems.responses(404, 408, 409, 413, 507),
    },
)
async def transcribe(
    recording_id: access.RecordingId,
    query: Annotated[TenantQuery, fastapi.Query()],
    request: fastapi.Request,
    response: fastapi.Response,
    found: access.Service,
    caller: access.Caller,
    idempotency_key: Annotated[
        str | None,
        fastapi.Header(
            min_length=1,
            max_length=255,
            pattern=r"^[!-~]+$",
            description="The client's name for this request: the same again gives the same transcription.",
        ),
    ] = None,
) -> views.Queued:
    """Transcribe a known recording, named by its own id or its call's.

    While it is queued or in work, the same request returns the same transcription. After that, each request is a new,
    deliberate transcription, unless it carries the `Idempotency-Key` of an earlier one.
    """
    tenant = access.whose(caller, query.tenant)
    access.must_be_enabled(found)
    language = access.known_language(found, (await bodies.read_json(request, views.TranscribeRequest)).language)
    recording = one_recording(await found.intake.find_call(recording_id, tenant=tenant), recording_id)
    try:
        report = await found.intake.publish_again(recording, language=language, request_key=idempotency_key)
    except delivery.RequestKeyReusedError as exc:
        raise problems.ProblemError(
            409, "this Idempotency-Key was used for another recording or language; make a new one"
        ) from exc
    if report is None:
        raise problems.ProblemError(404, f"no recording {recording_id!r} is known")
    response.headers["Location"] = views.address(report)
    return views.Queued(transcription_id=report.transcription_id, status=report.status)


@router.put(
    "/{tenant}/{call_id}",
    status_code=201,
    openapi_extra=_RECORDING,
    responses={
        200: {"model": views.Uploaded, "description": "This recording was here already", "headers": _LOCATION},
        201: {"description": "The recording is kept and queued", "headers": _LOCATION},
        **problems.responses(408, 413, 415, 507),
    },
)
async def upload(
    tenant: access.Tenant,
    call_id: access.CallId,
    query: Annotated[UploadQuery, fastapi.Query()],
    request: fastapi.Request,
    response: fastapi.Response,
    found: access.Service,
    caller: access.Caller,
) -> views.Uploaded:
    """Upload a recording and queue it. The same content again changes nothing and answers 200.

    Other content under the same id is another version of the recording, and is transcribed as such.
    """
    access.whose(caller, tenant)
    access.must_be_enabled(found)
    language = access.known_language(found, query.language)
    bodies.check_whole(request, max_bytes=found.settings.api.max_upload_bytes)
    try:
        kept = await found.uploads.store(identity.Recording(tenant, call_id), bodies.recording(request))
    except uploads.UploadTooLargeError as exc:
        raise problems.ProblemError(413, str(exc)) from exc
    event = events.RecordingReady(
        tenant=tenant,
        call_id=call_id,
        recording_id=call_id,
        recording_uri=kept.uri,
        version=kept.version,
        channels=query.channels(),
        language=language,
    )
    known = await found.intake.find(identity.Work(event.recording, kept.version, event.generation).transcription_id)
    report = known or await found.intake.publish(event)
    response.status_code = 201 if known is None else 200
    response.headers["Location"] = views.address(report)
    return views.uploaded(report)


def one_recording(known: list[reports.WorkReport], id_: str) -> identity.Recording:
    """Return the one recording that an id means: the one whose own id it is, before one of the call of that id."""
    meant = {identity.Recording(report.tenant, report.recording_id) for report in known}
    meant = {recording for recording in meant if recording.recording_id == id_} or meant
    if not meant:
        raise problems.ProblemError(404, f"no recording {id_!r} is known")
    if len(meant) > 1:
        of_tenants = len({recording.tenant for recording in meant}) > 1
        several, hint = (
            ("tenants", "say which with ?tenant=") if of_tenants else ("recordings", "name one by its own id")
        )
        raise problems.ProblemError(409, f"{id_!r} is the id of several {several}; {hint}")
    return meant.pop()
