"""How the API says no: problem details (RFC 9457), one sentence each, the same shape everywhere."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping
from typing import Any

import fastapi
import fastapi.exceptions
import pydantic
from starlette.exceptions import HTTPException

from aftercall.contracts import errors, outcomes

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(pydantic.BaseModel):
    """Why a request was not done."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class ProblemError(Exception):
    """End the request with a problem."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the problems of an endpoint for OpenAPI."""
    schema = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": http.HTTPStatus(status).phrase, "content": schema} for status in statuses}


def answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> fastapi.responses.JSONResponse:
    """Build the response of a problem."""
    problem = Problem(title=http.HTTPStatus(status).phrase, status=status, detail=detail)
    return fastapi.responses.JSONResponse(
        problem.model_dump(), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def install(app: fastapi.FastAPI) -> None:
    """Make every failure of `app` a problem."""

    @app.exception_handler(ProblemError)
    async def of_ours(_: fastapi.Request, exc: ProblemError) -> fastapi.Response:
        return answer(exc.status, exc.detail, exc.headers)

    @app.exception_handler(HTTPException)
    async def of_routing(_: fastapi.Request, exc: HTTPException) -> fastapi.Response:
        detail = {404: "there is nothing at this address", 405: "this address does not take this method"}
        return answer(exc.status_code, detail.get(exc.status_code, str(exc.detail)), exc.headers)

    @app.exception_handler(fastapi.exceptions.RequestValidationError)
    async def of_validation(_: fastapi.Request, exc: fastapi.exceptions.RequestValidationError) -> fastapi.Response:
        found = exc.errors()
        told = "; ".join(f"{'.'.join(map(str, problem['loc'][1:])) or 'body'}: {problem['msg']}" for problem in found)
        return answer(422, told)

    @app.exception_handler(errors.TransientError)
    async def of_stores(_: fastapi.Request, exc: errors.TransientError) -> fastapi.Response:
        status = 507 if exc.reason is outcomes.Reason.DISK_FULL else 503
        return answer(status, f"{exc}; try again later", {"Retry-After": str(max(1, round(exc.retry_after_s)))})

    @app.exception_handler(Exception)
    async def of_bugs(_: fastapi.Request, exc: Exception) -> fastapi.Response:
        log.error("request failed", exc_info=exc)
        return answer(500, "something went wrong inside aftercall; the log says what")
