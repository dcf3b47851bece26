"""What a pod answers to Kubernetes and to Prometheus: nothing of it names a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import fastapi
from starlette.responses import PlainTextResponse

from aftercall.api import exposition as formats


def build_probes(
    *,
    why_not_ready: Callable[[], str | None],
    exposition: formats.Exposition,
    why_not_healthy: Callable[[], str | None] = lambda: None,
) -> fastapi.FastAPI:
    """Build `/healthz`, `/readyz` and `/metrics`; `why_not_ready` and `why_not_healthy` say None when all is well."""
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> PlainTextResponse:
        why = why_not_healthy()
        return PlainTextResponse("ok\n" if why is None else f"not healthy: {why}\n", 200 if why is None else 503)

    @app.get("/readyz")
    async def readyz() -> PlainTextResponse:
        why = why_not_ready()
        return PlainTextResponse("ready\n" if why is None else f"not ready: {why}\n", 200 if why is None else 503)

    @app.get("/metrics")
    async def metrics(accept: Annotated[str | None, fastapi.Header()] = None) -> fastapi.Response:
        is_open = formats.is_openmetrics(accept)
        return fastapi.Response(exposition(openmetrics=is_open), media_type=formats.media_type(openmetrics=is_open))

    return app
