"""What every application of ours has, whatever it serves: keys before anything else, problems, a true document."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

import fastapi
import pydantic

from aftercall.api import gate, openapi, problems


def build(
    description: str, *, api_keys: Mapping[str, pydantic.SecretStr], signed: frozenset[str] = frozenset()
) -> fastapi.FastAPI:
    """Build an application without routes; paths in `signed` are under `/v1` and carry a signature, not a key."""
    app = fastapi.FastAPI(
        title="aftercall",
        version=metadata.version("aftercall"),
        description=description,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    app.add_middleware(gate.Gate, api_keys=api_keys, signed=signed)
    app.openapi = lambda: openapi.describe(app, needs_key=bool(api_keys), signed=signed)  # type: ignore[method-assign]

    @app.get("/healthz", tags=["operation"], responses=problems.responses(*problems.OPERATION))
    async def healthz() -> dict[str, str]:
        """Answer while the process lives."""
        return {"status": "ok"}

    return app
