"""What a pod answers to Kubernetes and to Prometheus: nothing of it names a call."""

from __future__ import annotations

from collections.abc import Callable

import fastapi
from starlette.responses import PlainTextResponse

_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def build_probes(
    *,
    why_not_ready: Callable[[], str | None],
    exposition: Callable[[], bytes],
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
    async def metrics() -> fastapi.Response:
        return fastapi.Response(exposition(), media_type=_EXPOSITION)

    return app
