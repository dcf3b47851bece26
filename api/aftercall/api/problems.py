"""How the API says no: one sentence each, as problem details (RFC 9457), or as OpenAI's clients read errors."""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from typing import Any

import fastapi
import fastapi.exceptions
import pydantic
from starlette import requests
from starlette.exceptions import HTTPException

from aftercall.api import openai_errors
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
    """End the request with a problem; `code` and `param` are what OpenAI's clients are told besides."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.code = code
        self.param = param


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the problems of an endpoint for OpenAPI."""
    schema = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": http.HTTPStatus(status).phrase, "content": schema} for status in statuses}


def answer(problem: ProblemError, *, path: str) -> fastapi.responses.JSONResponse:
    """Build the response of a problem, in the form that clients of this path read."""
    # What a client sent may be quoted: cut, on one line, and with lone surrogates (which JSON can carry) escaped.
    line = " ".join(problem.detail.encode("utf-8", "backslashreplace").decode().split())
    shown = line if len(line) <= _MAX_DETAIL_CHARS else line[:_MAX_DETAIL_CHARS] + "…"
    if openai_errors.is_read_at(path):
        return openai_errors.answer(problem.status, shown, problem.headers, code=problem.code, param=problem.param)
    told = Problem(title=http.HTTPStatus(problem.status).phrase, status=problem.status, detail=shown)
    return fastapi.responses.JSONResponse(
        told.model_dump(), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers
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

    def told(request: fastapi.Request, problem: ProblemError) -> fastapi.Response:
        return answer(problem, path=request.url.path)

    @app.exception_handler(ProblemError)
    async def of_ours(request: fastapi.Request, exc: ProblemError) -> fastapi.Response:
        return told(request, exc)

    @app.exception_handler(HTTPException)
    async def of_routing(request: fastapi.Request, exc: HTTPException) -> fastapi.Response:
        detail = _ROUTING.get(exc.status_code, str(exc.detail))
        return told(request, ProblemError(exc.status_code, detail, headers=exc.headers))

    @app.exception_handler(fastapi.exceptions.RequestValidationError)
    async def of_validation(
        request: fastapi.Request, exc: fastapi.exceptions.RequestValidationError
    ) -> fastapi.Response:
        return told(request, ProblemError(422, sentence(exc.errors())))

    @app.exception_handler(errors.TransientError)
    async def of_stores(request: fastapi.Request, exc: errors.TransientError) -> fastapi.Response:
        full = exc.reason is outcomes.Reason.DISK_FULL and request.method in _WRITES
        retry_after = str(max(1, round(exc.retry_after_s)))
        status = 507 if full else 503
        return told(request, ProblemError(status, f"{exc}; try again later", headers={"Retry-After": retry_after}))

    @app.exception_handler(requests.ClientDisconnect)
    async def of_lost_clients(request: fastapi.Request, exc: requests.ClientDisconnect) -> fastapi.Response:
        # For the log of a proxy; the client is gone.
        return told(request, ProblemError(400, "the request ended before its body did"))

    @app.exception_handler(Exception)
    async def of_bugs(request: fastapi.Request, exc: Exception) -> fastapi.Response:
        # The server writes what it was.
        return told(request, ProblemError(500, "something went wrong inside aftercall; its log says what"))
