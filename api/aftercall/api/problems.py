"""How the API says no: problem details (RFC 9457), one sentence each, the same shape everywhere."""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from typing import Any

import fastapi
import fastapi.exceptions
import pydantic
from starlette import requests
from starlette.exceptions import HTTPException

from aftercall.contracts import errors, outcomes

MEDIA_TYPE = "application/problem+json"
ANY = (400, 401, 403, 422, 431, 500, 503)
"""What any request under `/v1` may be answered."""
OPERATION = (400, 431, 500)
"""What any other request may be answered."""
_MAX_DETAIL_CHARS = 500
_ROUTING = {404: "there is nothing at this address", 405: "this address does not take this method"}
_WRITES = {"POST", "PUT"}


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
    # What a client sent may be quoted: cut, on one line, and with lone surrogates (which JSON can carry) escaped.
    line = " ".join(detail.encode("utf-8", "backslashreplace").decode().split())
    shown = line if len(line) <= _MAX_DETAIL_CHARS else line[:_MAX_DETAIL_CHARS] + "…"
    problem = Problem(title=http.HTTPStatus(status).phrase, status=status, detail=shown)
    return fastapi.responses.JSONResponse(
        problem.model_dump(), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def sentence(found: Sequence[Mapping[str, Any]]) -> str:
    """Put validation errors into one sentence, field by field."""
    told = []
    for problem in found:
        field = ".".join(str(part) for part in problem["loc"] if part not in {"query", "path", "header", "body"})
        match problem["type"]:
            case "value_error":  # our own words, which name the field
                told.append(str(problem["ctx"]["error"]))
            case "extra_forbidden":
                told.append(f"{field} is not a name that this request knows")
            case _:
                told.append(f"{field or 'the request'}: {problem['msg']}")
    return "; ".join(told)


def install(app: fastapi.FastAPI) -> None:
    """Make every failure of `app` a problem."""

    @app.exception_handler(ProblemError)
    async def of_ours(_: fastapi.Request, exc: ProblemError) -> fastapi.Response:
        return answer(exc.status, exc.detail, exc.headers)

    @app.exception_handler(HTTPException)
    async def of_routing(_: fastapi.Request, exc: HTTPException) -> fastapi.Response:
        return answer(exc.status_code, _ROUTING.get(exc.status_code, str(exc.detail)), exc.headers)

    @app.exception_handler(fastapi.exceptions.RequestValidationError)
    async def of_validation(_: fastapi.Request, exc: fastapi.exceptions.RequestValidationError) -> fastapi.Response:
        return answer(422, sentence(exc.errors()))

    @app.exception_handler(errors.TransientError)
    async def of_stores(request: fastapi.Request, exc: errors.TransientError) -> fastapi.Response:
        full = exc.reason is outcomes.Reason.DISK_FULL and request.method in _WRITES
        retry_after = str(max(1, round(exc.retry_after_s)))
        return answer(507 if full else 503, f"{exc}; try again later", {"Retry-After": retry_after})

    @app.exception_handler(requests.ClientDisconnect)
    async def of_lost_clients(_: fastapi.Request, exc: requests.ClientDisconnect) -> fastapi.Response:
        return answer(400, "the request ended before its body did")  # for the log of a proxy; the client is gone

    @app.exception_handler(Exception)
    async def of_bugs(_: fastapi.Request, exc: Exception) -> fastapi.Response:
        return answer(500, "something went wrong inside aftercall; its log says what")  # where the server writes it
