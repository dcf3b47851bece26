"""What a consumer's report is answered over HTTP."""

from __future__ import annotations

import httpx2
import pytest

from aftercall.api import reporting
from aftercall.consumers import observer
from aftercall.contracts import errors, outcomes, reports
from aftercall.operator import exchange, processes

REPORT = reports.ConsumerReport(consumer="pod-a", instance="1", pool="calls", tenants=(reports.TenantLoad(tenant="t"),))
GRANTS = reports.Grants(epoch=3, number=7, lease_s=900.0, grants=(reports.Grant(tenant="t", per_s=2.5),))
CALLERS = {
    "good": reporting.Caller("consumers", "pod-a"),
    "other-pod": reporting.Caller("consumers", "pod-b"),
    "no-pod": reporting.Caller("consumers", None),
    "other-account": reporting.Caller("default", "pod-a"),
}


class Desk:
    """The operator's side: what it heard, and what it says no to."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.heard: list[reports.ConsumerReport] = []
        self.failure = failure
        self.observe = observer.PrometheusObserver()

    async def hear(self, report: reports.ConsumerReport) -> reports.Grants:
        """Answer a report."""
        if self.failure is not None:
            raise self.failure
        self.heard.append(report)
        return GRANTS

    async def authenticate(self, token: str) -> reporting.Caller | None:
        """Say whose a token is."""
        if token == "unknowable":
            raise errors.TransientError("no answer", reason=outcomes.Reason.STORE_UNAVAILABLE, retry_after_s=3.0)
        return CALLERS.get(token)

    async def post(self, body: bytes, *, authorization: str | None = "Bearer good") -> httpx2.Response:
        """Send a body."""
        app = reporting.build_reporting(self.hear, self.authenticate, self.observe, accounts={"consumers"})
        headers = {} if authorization is None else {"Authorization": authorization}
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://operator:8480") as client:
            return await client.post(reporting.PATH, content=body, headers=headers)


async def test_a_report_is_answered_with_grants() -> None:
    """And counted."""
    desk = Desk()

    answer = await desk.post(REPORT.model_dump_json().encode())

    assert (200, GRANTS) == (answer.status_code, reports.Grants.model_validate_json(answer.content))
    assert [REPORT] == desk.heard
    exposition = desk.observe.exposition().decode()
    assert 'aftercall_operator_reports_total{result="answered"} 1.0' in exposition
    assert "aftercall_operator_report_seconds_count 1.0" in exposition


@pytest.mark.parametrize(
    ("authorization", "status", "result"),
    [
        (None, 401, "unauthenticated"),
        ("Basic good", 401, "unauthenticated"),
        ("Bearer ", 401, "unauthenticated"),
        ("Bearer stranger", 401, "unauthenticated"),
        ("Bearer other-account", 403, "forbidden"),
        ("Bearer other-pod", 403, "forbidden"),
        ("Bearer no-pod", 403, "forbidden"),
    ],
)
async def test_a_pod_reports_for_itself_and_nobody_else(authorization: str | None, status: int, result: str) -> None:
    """Nothing of anybody else's is heard."""
    desk = Desk()

    answer = await desk.post(REPORT.model_dump_json().encode(), authorization=authorization)

    assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    assert [] == desk.heard
    assert f'aftercall_operator_reports_total{{result="{result}"}} 1.0' in desk.observe.exposition().decode()


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 422, "JSON"),
        (b"[]", 422, "object"),
        (b'{"consumer": "pod-a", "pool": "calls"}', 422, "instance"),
        (REPORT.model_dump_json().replace('"waiting":0', '"waiting":-1').encode(), 422, "tenants.0.waiting"),
        (REPORT.model_dump_json().replace('"version":1', '"version":2').encode(), 422, "version"),
        (b" " * (reporting.MAX_REPORT_BYTES + 1), 413, "at most"),
    ],
)
async def test_what_is_no_report_is_refused_with_a_sentence(body: bytes, status: int, told: str) -> None:
    """Which says what is wrong with it."""
    desk = Desk()

    answer = await desk.post(body)

    assert status == answer.status_code
    assert told in answer.json()["detail"]
    assert [] == desk.heard


@pytest.mark.parametrize(
    ("failure", "status", "retry_after"),
    [
        (processes.RefusedError("no pool named calls"), 409, None),
        (exchange.NotLeadingError("epoch 4 has begun"), 503, "5"),
    ],
)
async def test_what_the_operator_does_not_take_is_said(
    failure: Exception, status: int, retry_after: str | None
) -> None:
    """An unknown pool, a late report, a Lease that another has."""
    answer = await Desk(failure).post(REPORT.model_dump_json().encode())

    assert (status, retry_after, str(failure)) == (
        answer.status_code,
        answer.headers.get("retry-after"),
        answer.json()["detail"],
    )


async def test_a_token_that_nobody_can_judge_now_is_asked_for_again() -> None:
    """The API server is away; the consumer keeps what it has."""
    answer = await Desk().post(REPORT.model_dump_json().encode(), authorization="Bearer unknowable")

    assert (503, "3") == (answer.status_code, answer.headers["retry-after"])
