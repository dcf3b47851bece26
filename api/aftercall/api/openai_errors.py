"""Errors as OpenAI's API tells them, which is how its clients choose between raising, waiting and trying again."""

from __future__ import annotations

import http
from collections.abc import Mapping
from typing import Any

import fastapi
import pydantic

_PREFIXES = ("/v1/audio", "/v1/models")
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


class Told(pydantic.BaseModel):
    """What went wrong; `param` names the field that is to blame, `code` can be acted on by a program."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorObject(pydantic.BaseModel):
    """An error, as OpenAI's API tells it."""

    error: Told


def is_read_at(path: str) -> bool:
    """Say whether OpenAI's clients call this path."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in _PREFIXES)


def describe(status: int, message: str, *, code: str | None = None, param: str | None = None) -> ErrorObject:
    """Build the error object of a status."""
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    return ErrorObject(error=Told(message=message, type=kind, param=param, code=code or _CODES.get(status)))


def answer(
    status: int, message: str, headers: Mapping[str, str], *, code: str | None, param: str | None
) -> fastapi.responses.JSONResponse:
    """Build the response of an error; what cannot be validated is 400 there, not 422."""
    status = 400 if status == 422 else status
    found = describe(status, message, code=code, param=param)
    return fastapi.responses.JSONResponse(found.model_dump(), status_code=status, headers=dict(headers))


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the errors of an endpoint for OpenAPI."""
    return {status: {"model": ErrorObject, "description": http.HTTPStatus(status).phrase} for status in statuses}
