"""OpenAI's transcription API: a recording in, its transcript in the same response, by its own clients unchanged."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, BinaryIO

import fastapi
from starlette import responses

from aftercall.api import access, audio_views, bodies, desk, forms, openai_errors, problems
from aftercall.consumers import live
from aftercall.contracts import identity, outcomes, transcript, windows

_CHUNK_BYTES = 1 << 20
_KEEP_ALIVE_S = 15.0
_STREAM = "text/event-stream"
_ERRORS = (400, 401, 403, 404, 408, 413, 415, 429, 431, 500, 503, 504, 507)


def build_router(found: desk.Desk, *, knows: Callable[[str | None], str | None]) -> fastapi.APIRouter:
    """Build the routes; `knows` returns a language as the model names it, or ends the request."""
    router = fastapi.APIRouter(prefix="/v1", tags=["openai"], responses=openai_errors.responses(*_ERRORS))

    @router.post(
        "/audio/transcriptions",
        openapi_extra=forms.BODY,
        response_class=fastapi.Response,
        responses=audio_views.RESPONSES,
    )
    async def transcriptions(request: fastapi.Request, caller: access.Caller) -> fastapi.Response:
        """Transcribe a recording; with `stream`, tell what is said as it is heard.

        The work waits its turn as that of events does. A client that gives up and asks again joins it.
        """
        return await _transcribe(found, request, caller, windows.Task.TRANSCRIBE, knows)

    @router.post(
        "/audio/translations",
        openapi_extra=forms.BODY,
        response_class=fastapi.Response,
        responses=audio_views.RESPONSES,
    )
    async def translations(request: fastapi.Request, caller: access.Caller) -> fastapi.Response:
        """Transcribe a recording into English, where the model can."""
        return await _transcribe(found, request, caller, windows.Task.TRANSLATE, knows)

    @router.get("/models")
    async def models() -> audio_views.Models:
        """List the names under which the model may be asked for."""
        return audio_views.Models(data=[audio_views.Model(id=name) for name in found.models])

    @router.get("/models/{model:path}")
    async def model(model: Annotated[str, fastapi.Path()]) -> audio_views.Model:
        """Say whether a model may be asked for."""
        return audio_views.Model(id=_known_model(found, model))

    return router


async def _transcribe(
    found: desk.Desk,
    request: fastapi.Request,
    caller: str | None,
    task: windows.Task,
    knows: Callable[[str | None], str | None],
) -> fastapi.Response:
    tenant = caller if caller is not None else identity.LOCAL_TENANT
    async with contextlib.AsyncExitStack() as held:
        held.enter_context(found.place(tenant))
        bodies.check_whole(request, max_bytes=found.max_bytes)
        form = await held.enter_async_context(forms.read(request, max_bytes=found.max_bytes))
        _known_model(found, form.asked.model)
        wish = desk.Wish(knows(form.asked.language), task, form.asked.vocabulary)
        digest = await asyncio.to_thread(_digest, form.file)
        work = await found.hand_in(tenant, digest, _chunks(form.file), wish)
        if not form.asked.stream:
            made = await _transcript(found, work)
            body = await asyncio.to_thread(audio_views.render, made, form.asked)
            return fastapi.Response(body, media_type=audio_views.media_type(form.asked))
        # The place is held until the last event has been sent.
        kept = held.pop_all()
        return responses.StreamingResponse(_events(found, work, form.asked, kept), media_type=_STREAM)


def _known_model(found: desk.Desk, asked: str) -> str:
    if asked not in found.models:
        raise problems.ProblemError(
            404,
            f"model {asked!r} is not served here; there is {', '.join(found.models)}",
            code="model_not_found",
            param="model",
        )
    return asked


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, 0)
    while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
        yield chunk


async def _transcript(found: desk.Desk, work: identity.Work) -> transcript.Transcript:
    decided = await found.decided(work)
    made = await found.published.read_transcript(decided)
    if made is not None:
        return made
    match decided.kind:
        case outcomes.Kind.CANONICAL:
            raise problems.ProblemError(404, "the transcript of this recording has been deleted", code="deleted")
        case outcomes.Kind.REJECTED:
            raise problems.ProblemError(400, decided.message, code=str(decided.reason), param="file")
        case _:
            raise problems.ProblemError(500, decided.message, code=str(decided.reason))


async def _events(
    found: desk.Desk, work: identity.Work, asked: forms.Asked, held: contextlib.AsyncExitStack
) -> AsyncIterator[str]:
    """Yield events as they come, and a comment when none comes for long, so that nothing on the way gives up."""
    async with held:
        with found.listen(work) as line:
            ending = asyncio.create_task(_transcript(found, work))
            try:
                teller = audio_views.Teller(asked)
                async for said in _until(ending, line):
                    told = ": still at it\n\n" if said is None else teller.said(said)
                    if told:
                        yield told
                yield teller.done(await ending)
            except problems.ProblemError as exc:
                failure = openai_errors.describe(exc.status, exc.detail, code=exc.code, param=exc.param)
                yield audio_views.event(failure.model_dump())
            finally:
                ending.cancel()


async def _until(ending: asyncio.Task[Any], line: live.Line | None) -> AsyncIterator[Any]:
    """Yield what the line tells until `ending` has ended, and None when nothing was told for long."""
    while not ending.done():
        telling = asyncio.create_task(line.get()) if line is not None else None
        watched = {ending, telling} if telling is not None else {ending}
        await asyncio.wait(watched, timeout=_KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
        if telling is not None and telling.done():
            yield telling.result()
            continue
        if telling is not None:
            telling.cancel()
        if not ending.done():
            yield None
    while line is not None and not line.empty():
        yield line.get_nowait()
