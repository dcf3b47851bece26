"""The REST API as an application."""

from __future__ import annotations

import fastapi
from starlette.responses import HTMLResponse

from aftercall.api import (
    access,
    audio,
    desk,
    exposition,
    frame,
    keys,
    pages,
    problems,
    recordings,
    service,
    transcriptions,
)
from aftercall.contracts import errors, events

_DESCRIPTION = """Recorded calls in, one trustworthy transcript per call out.

With API keys configured, every request under `/v1` carries one: `Authorization: Bearer …` or `X-API-Key`. A key is one
tenant's; other tenants' ids answer 404. Every failure is a problem detail (RFC 9457) with one sentence in `detail`."""
_TEXT = {"schema": {"type": "string"}}


def build_app(found: service.Service) -> fastapi.FastAPI:
    """Build the application around a service."""
    app = frame.build(_DESCRIPTION, api_keys=found.settings.api.keys)
    app.state.service = found
    app.include_router(recordings.router)
    app.include_router(transcriptions.router)
    app.include_router(_openai(found))
    app.include_router(_operation(found))

    @app.get("/", include_in_schema=False)
    async def index() -> dict[str, str]:
        return {"service": "aftercall", "version": app.version, "openapi": "/openapi.json", "docs": "/docs"}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(pages.reference(app.openapi()), headers=pages.HEADERS)

    return app


def _openai(found: service.Service) -> fastapi.APIRouter:
    """Build what OpenAI's clients call."""
    configured = found.settings.api

    async def publish(event: events.RecordingReady) -> None:
        access.must_be_enabled(found)
        await found.intake.publish(event)

    at = desk.Desk(
        configured,
        store=found.uploads.store,
        publish=publish,
        published=found.publisher,
        listeners=found.listeners,
        models=lambda: tuple(dict.fromkeys((found.backend.info.model, *configured.model_names))),
    )
    return audio.build_router(at, knows=lambda language: access.known_language(found, language))


def _operation(found: service.Service) -> fastapi.APIRouter:
    """Build what those ask who run the service."""
    router = fastapi.APIRouter(tags=["operation"], responses=problems.responses(*problems.OPERATION))

    @router.get("/readyz", responses=problems.responses(503))
    async def readyz() -> dict[str, str]:
        """Answer 200 while the model is loaded, work is being done, and the stores can be written."""
        if not found.ready:
            raise problems.ProblemError(503, "not ready: the model is loading, or the service is stopping")
        try:
            await found.check_stores()
        except errors.TransientError as exc:
            raise problems.ProblemError(503, f"not ready: {exc}") from exc
        return {"status": "ready"}

    @router.get(
        "/metrics",
        response_class=fastapi.Response,
        responses={
            200: {
                "description": "Prometheus text format, or OpenMetrics where that is accepted",
                "content": {exposition.TEXT: _TEXT, exposition.OPENMETRICS: _TEXT},
            },
            **problems.responses(403, 503),
        },
    )
    async def metrics(request: fastapi.Request) -> fastapi.Response:
        """Return metrics in the Prometheus text format, or as OpenMetrics, to this machine only: they name tenants."""
        peer = request.client.host if request.client is not None else None
        if not (keys.is_loopback(peer) and keys.is_local(request.headers)):
            raise problems.ProblemError(403, "metrics are served only to this machine itself")
        is_open = exposition.is_openmetrics(request.headers.get("accept"))
        told = await found.exposition(openmetrics=is_open)
        return fastapi.Response(told, media_type=exposition.media_type(openmetrics=is_open))

    return router
