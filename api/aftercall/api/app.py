"""The REST API as an application."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import fastapi
from starlette.responses import HTMLResponse

from aftercall.api import access, pages, problems, recordings, service, transcriptions

_DESCRIPTION = """Recorded calls in, one trustworthy transcript per call out.

With API keys configured, every request under `/v1` carries one: `Authorization: Bearer …` or `X-API-Key`. A key is one
tenant's; other tenants' ids answer 404. Every failure is a problem detail (RFC 9457) with one sentence in `detail`."""


def build_app(found: service.Service) -> fastapi.FastAPI:
    """Build the application around a service."""
    app = fastapi.FastAPI(
        title="aftercall",
        version=metadata.version("aftercall"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = found
    problems.install(app)
    app.include_router(recordings.router)
    app.include_router(transcriptions.router)

    @app.get("/healthz", tags=["operation"])
    async def healthz() -> dict[str, str]:
        """Answer while the process lives."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["operation"], responses=problems.responses(503))
    async def readyz() -> dict[str, str]:
        """Answer 200 once the model is loaded and work is being done."""
        if not found.ready:
            raise problems.ProblemError(503, "not ready: the model is loading, or the service is stopping")
        return {"status": "ready", "model": found.backend.info.model}

    @app.get("/metrics", tags=["operation"], response_class=fastapi.Response, responses=problems.responses(403, 503))
    async def metrics(_: Annotated[None, fastapi.Depends(_may_see_metrics)]) -> fastapi.Response:
        """Return metrics in the Prometheus text format."""
        return fastapi.Response(await found.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def index() -> dict[str, str]:
        return {"service": "aftercall", "openapi": "/openapi.json", "docs": "/docs"}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(pages.reference(app.openapi()))

    plain_openapi = app.openapi

    def openapi() -> dict[str, object]:
        document = plain_openapi()
        document["components"]["schemas"]["Problem"] = problems.Problem.model_json_schema()
        document["components"]["schemas"].pop("HTTPValidationError", None)
        document["components"]["schemas"].pop("ValidationError", None)
        for path in document["paths"].values():
            for operation in path.values():
                refused = operation["responses"].get("422", {}).get("content", {})
                if "application/json" in refused and problems.MEDIA_TYPE not in refused:
                    del operation["responses"]["422"]
                else:
                    refused.pop("application/json", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _may_see_metrics(request: fastapi.Request) -> None:
    """Let scrapers in: with keys configured the address is reachable on purpose, and metrics hold no ids."""
    if not access.service_of(request).settings.api.keys:
        access.caller(request)
