"""The OpenAPI document: what the framework finds out, and what it cannot."""

from __future__ import annotations

from typing import Any

import fastapi

from aftercall.api import audio_views, openai_errors, problems

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The API key of a tenant."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The API key of a tenant."},
}


def describe(app: fastapi.FastAPI, *, needs_key: bool, signed: frozenset[str]) -> dict[str, Any]:
    """Build the document of `app`; `needs_key` says whether requests under `/v1` that are not signed carry a key."""
    document = fastapi.FastAPI.openapi(app)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = problems.Problem.model_json_schema()
    if needs_key:
        components["securitySchemes"] = _SCHEMES
    openai_paths = [path for path in document["paths"] if openai_errors.is_read_at(path)]
    if openai_paths:
        components["schemas"] |= audio_views.SCHEMAS
        # The framework's own form of errors, which nothing of ours is told in.
        for name in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(name, None)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path in openai_paths:
                operation["responses"].pop("422", None)
            if needs_key and path.startswith("/v1/") and path not in signed:
                operation["security"] = [{name: []} for name in _SCHEMES]
            _drop_json_beside_other_forms(operation)
    return document


def _drop_json_beside_other_forms(operation: dict[str, Any]) -> None:
    """Problems have one media type; the framework adds that of the endpoint's own answers."""
    for response in operation["responses"].values():
        if problems.MEDIA_TYPE in response.get("content", {}):
            response["content"] = {problems.MEDIA_TYPE: response["content"][problems.MEDIA_TYPE]}
