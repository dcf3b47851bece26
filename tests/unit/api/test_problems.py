"""The one shape in which the API says no."""

from __future__ import annotations

import json

import fastapi
import httpx2
import pydantic
import pytest

from aftercall.api import problems
from aftercall.contracts import errors, outcomes


def failing(exc: Exception) -> httpx2.AsyncClient:
    """Return a client of an application whose only endpoint fails so."""
    app = fastapi.FastAPI()
    problems.install(app)

    @app.api_route("/", methods=["GET", "PUT"])
    async def fail() -> None:
        raise exc

    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app, raise_app_exceptions=False), base_url="http://127.0.0.1"
    )


def body_of(answer: fastapi.Response) -> dict[str, object]:
    """Decode a response that was not sent."""
    return dict(json.loads(bytes(answer.body)))


def test_a_problem_says_its_status_in_words() -> None:
    """The four members of RFC 9457 that are used, and its media type."""
    problem = problems.ProblemError(404, "no recording 'x' is known", headers={"Retry-After": "3"})
    answer = problems.answer(problem, path="/v1/recordings/x")

    assert {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no recording 'x' is known",
    } == body_of(answer)
    assert ("application/problem+json", "3") == (answer.headers["content-type"], answer.headers["retry-after"])


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("two\nlines\tand \x0b more", "two lines and more"),
        ("a lone \ud800 surrogate", "a lone \\ud800 surrogate"),
        ("x" * 501, "x" * 500 + "…"),
    ],
)
def test_what_a_client_sent_is_quoted_on_one_short_line(detail: str, shown: str) -> None:
    """A detail never breaks the line, the encoding or the log."""
    assert shown == body_of(problems.answer(problems.ProblemError(422, detail), path="/v1/calls"))["detail"]


async def test_a_bug_tells_nothing_of_itself() -> None:
    """What went wrong is for the log."""
    async with failing(RuntimeError("secret /var/lib/path")) as client:
        answer = await client.get("/")

    assert 500 == answer.status_code
    assert "secret" not in answer.text
    assert "log" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("reason", "method", "status"),
    [
        (outcomes.Reason.DISK_FULL, "PUT", 507),
        (outcomes.Reason.DISK_FULL, "GET", 503),
        (outcomes.Reason.STORE_UNAVAILABLE, "PUT", 503),
    ],
)
async def test_what_may_pass_later_says_when_to_come_back(reason: outcomes.Reason, method: str, status: int) -> None:
    """A full disk stops what wants to be kept; a reader is told that a store is away."""
    async with failing(errors.TransientError("the store is away", reason=reason, retry_after_s=12.4)) as client:
        answer = await client.request(method, "/")

    assert (status, "12") == (answer.status_code, answer.headers["retry-after"])
    assert "the store is away; try again later" == answer.json()["detail"]


@pytest.mark.parametrize(("path", "method", "status"), [("/nothing", "GET", 404), ("/", "DELETE", 405)])
async def test_routing_fails_in_the_same_shape(path: str, method: str, status: int) -> None:
    """No address, no method."""
    async with failing(RuntimeError()) as client:
        answer = await client.request(method, path)

    assert (status, problems.MEDIA_TYPE) == (answer.status_code, answer.headers["content-type"])
    assert status == answer.json()["status"]
    assert (status == 405) is ("allow" in answer.headers)


class Asked(pydantic.BaseModel):
    """Something to get wrong."""

    model_config = pydantic.ConfigDict(extra="forbid")
    limit: int
    name: str = ""

    @pydantic.field_validator("name")
    @classmethod
    def _check(cls, value: str) -> str:
        if value == "..":
            raise ValueError("name '..' is a path, not an id")
        return value


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"limit": 1, "nmae": "x"}, "nmae is not a name that this request knows"),
        ({"limit": 1, "name": ".."}, "name '..' is a path, not an id"),
        ({}, "limit: Field required"),
        ({"limit": 1, "name": 2}, "name: Input should be a valid string"),
        ({"name": ".."}, "limit: Field required; name '..' is a path, not an id"),
        ([], "the request: Input should be a valid dictionary or instance of Asked"),
    ],
)
def test_validation_is_told_field_by_field(given: object, told: str) -> None:
    """Our own sentences as they are, the library's with the field before them."""
    with pytest.raises(pydantic.ValidationError) as caught:
        Asked.model_validate(given)

    assert told == problems.sentence(caught.value.errors())
