"""Where consumers report to the operator: `POST /v1/reports`, answered with what they may use of tenants' limits."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable, Collection

import fastapi
import pydantic

from aftercall.api import bodies, frame, problems
from aftercall.consumers import observer
from aftercall.contracts import errors, metrics, reports
from aftercall.operator import exchange, processes

PATH = "/v1/reports"
MAX_REPORT_BYTES = 4 * 2**20
"""Ten thousand tenants with 200 bytes each, and as many partitions."""
GARBAGE = (100_000, 50, 100)
"""Thresholds of Python's collector. A report of a thousand tenants makes some thousand objects, which live until the
next one: looking through all that are kept as often as by default takes as long as the answer."""
_DESCRIPTION = """Reports of consumers, each with a token of its own pod's service account for this audience."""
_WITH_TOKEN = {"WWW-Authenticate": 'Bearer realm="aftercall"'}
_RETRY_AFTER = {"Retry-After": "5"}
_RESULTS = {401: "unauthenticated", 403: "forbidden", 409: "refused", 503: "not_leading"}
"""How an answer is counted; any other is `invalid`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Whose token it is: a service account's, bound to a pod; None: to none."""

    account: str
    pod: str | None


def build_reporting(
    hear: Callable[[reports.ConsumerReport], Awaitable[reports.Grants]],
    authenticate: Callable[[str], Awaitable[Caller | None]],
    observe: observer.Observer,
    *,
    accounts: Collection[str],
    clock: Callable[[], float] = time.perf_counter,
) -> fastapi.FastAPI:
    """Build the application.

    `hear` answers a report, or raises `processes.RefusedError` (of an unknown pool too) or `exchange.NotLeadingError`.
    `authenticate` says whose a token is, None for nobody's, or raises `errors.TransientError` where that cannot be
    told now. Only `accounts` may report, each pod for itself.
    """
    app = frame.build(_DESCRIPTION, api_keys={}, signed=frozenset({PATH}))

    @app.post(PATH, response_model=reports.Grants, responses=problems.responses(401, 403, 408, 409, 413, 422, 431, 503))
    async def report(request: fastapi.Request) -> fastapi.Response:
        """Take a report, and answer it."""
        began_s = clock()
        try:
            caller = await _caller(request, authenticate)
            if caller.account not in accounts:
                raise problems.ProblemError(403, f"service account {caller.account!r} may not report")
            told = _parse(await _body(request))
            if caller.pod != told.consumer:
                raise problems.ProblemError(403, f"the token is not that of a pod {told.consumer!r}")
            found = await _answer(hear, told)
        except problems.ProblemError as exc:
            observe.add(metrics.OPERATOR_REPORTS, result=_RESULTS.get(exc.status, "invalid"))
            raise
        except errors.TransientError:
            observe.add(metrics.OPERATOR_REPORTS, result="unavailable")
            raise
        answer = fastapi.Response(found.model_dump_json(), media_type="application/json")
        observe.add(metrics.OPERATOR_REPORTS, result="answered")
        observe.observe(metrics.OPERATOR_REPORT_SECONDS, clock() - began_s)
        return answer

    return app


async def _caller(request: fastapi.Request, authenticate: Callable[[str], Awaitable[Caller | None]]) -> Caller:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    caller = await authenticate(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
    if caller is None:
        raise problems.ProblemError(401, "a report needs a pod's token for this audience", headers=_WITH_TOKEN)
    return caller


async def _body(request: fastapi.Request) -> bytes:
    body = bytearray()
    async for chunk in bodies.steadily(request.stream()):
        body += chunk
        if len(body) > MAX_REPORT_BYTES:
            raise problems.ProblemError(413, f"a report has at most {MAX_REPORT_BYTES} bytes")
    return bytes(body)


def _parse(body: bytes) -> reports.ConsumerReport:
    try:
        return reports.ConsumerReport.model_validate_json(body)
    except pydantic.ValidationError as exc:
        raise problems.ProblemError(422, problems.sentence(exc.errors())) from exc


async def _answer(
    hear: Callable[[reports.ConsumerReport], Awaitable[reports.Grants]], told: reports.ConsumerReport
) -> reports.Grants:
    try:
        return await hear(told)
    except processes.RefusedError as exc:
        raise problems.ProblemError(409, str(exc)) from exc
    except exchange.NotLeadingError as exc:
        raise problems.ProblemError(503, str(exc), headers=_RETRY_AFTER) from exc
