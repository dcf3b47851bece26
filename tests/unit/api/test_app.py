"""What those ask who run the service, and the documentation that it serves."""

from __future__ import annotations

import html.parser
import typing

import api_service
import httpx2
import material
import pytest

from aftercall.api import app, pages
from aftercall.contracts import identity


async def get(service: api_service.MemoryService, path: str, **how: typing.Any) -> httpx2.Response:
    """Ask once."""
    headers = how.pop("headers", {})
    async with api_service.client(service, **how) as client:
        return await client.get(path, headers=headers)


async def test_the_index_says_where_the_documentation_is() -> None:
    """And each of it is there."""
    service = api_service.MemoryService()
    told = (await get(service, "/")).json()

    assert "aftercall" == told["service"]
    assert {200} == {(await get(service, told[name])).status_code for name in ("openapi", "docs")}


async def test_it_lives_while_it_answers() -> None:
    """Whatever else does not work."""
    service = api_service.MemoryService()
    service.ready, service.full = False, True

    assert 200 == (await get(service, "/healthz")).status_code


async def test_it_is_ready_once_it_can_work() -> None:
    """Model loaded, stores writable."""
    service = api_service.MemoryService()

    assert {"status": "ready"} == (await get(service, "/readyz")).json()


@pytest.mark.parametrize(
    ("loaded", "full", "told"), [(False, False, "the model is loading"), (True, True, "disk is full")]
)
async def test_it_is_not_ready_while_it_cannot(loaded: bool, full: bool, told: str) -> None:
    """503, and why."""
    service = api_service.MemoryService()
    service.ready, service.full = loaded, full
    answer = await get(service, "/readyz")

    assert 503 == answer.status_code
    assert told in api_service.problem_of(answer)


@pytest.mark.parametrize("keys", [{}, {"acme": "s3cret"}])
@pytest.mark.parametrize(
    ("peer", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8400", 200),
        ("::1", "localhost:8400", 200),
        ("10.0.0.7", "127.0.0.1:8400", 403),
        ("127.0.0.1", "evil.example", 403),
    ],
)
async def test_metrics_are_for_this_machine(keys: dict[str, str], peer: str, host: str, status: int) -> None:
    """They name every tenant, so no tenant's key opens them."""
    service = api_service.MemoryService(keys=keys)
    answer = await get(service, "/metrics", peer=peer, headers={"Host": host, "X-API-Key": "s3cret"})

    assert status == answer.status_code
    if status == 200:
        assert ("up 1\n", "text/plain; version=0.0.4; charset=utf-8") == (answer.text, answer.headers["content-type"])
    else:
        assert api_service.problem_of(answer)


async def test_metrics_come_as_openmetrics_where_that_is_asked_for() -> None:
    """Only there are exemplars."""
    answer = await get(api_service.MemoryService(), "/metrics", headers={"Accept": "application/openmetrics-text"})

    assert "application/openmetrics-text; version=1.0.0; charset=utf-8" == answer.headers["content-type"]
    assert answer.text.endswith("# EOF\n")


async def test_openapi_documents_every_problem_in_its_one_form() -> None:
    """Every endpoint under /v1 says what any request may be answered; OpenAI's clients have their own."""
    document = (await get(api_service.MemoryService(), "/openapi.json")).json()

    forms = {name for name in document["components"]["schemas"] if "rror" in name or name == "Problem"}
    assert {"Problem", "ErrorObject"} == forms
    for path, operations in document["paths"].items():
        for operation in operations.values():
            failures = {status: told for status, told in operation["responses"].items() if status >= "400"}
            assert failures
            for_openai = path.startswith(("/v1/audio", "/v1/models"))
            if path.startswith("/v1/"):
                assert {"400", "401", "403", "500", "503"} <= failures.keys()
                assert for_openai is ("422" not in failures)
            for told in failures.values():
                assert ["application/json" if for_openai else "application/problem+json"] == list(told["content"])


@pytest.mark.parametrize("keys", [{}, {"acme": "s3cret"}])
async def test_openapi_says_whether_a_key_is_needed(keys: dict[str, str]) -> None:
    """As this service is set up: either header, under /v1 only."""
    document = (await get(api_service.MemoryService(keys=keys), "/openapi.json")).json()

    assert bool(keys) is ("securitySchemes" in document["components"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            needed = [{"bearer": []}, {"apiKey": []}] if keys and path.startswith("/v1/") else None
            assert needed == operation.get("security")


async def test_openapi_names_the_fields_that_clients_were_promised() -> None:
    """Their names are an interface: changing one breaks somebody."""
    schemas = (await get(api_service.MemoryService(), "/openapi.json")).json()["components"]["schemas"]

    promised = {"status", "language", "duration", "segmentCount", "text", "stage", "queuePosition", "waitingReason"}
    assert promised <= set(schemas["Transcription"]["required"])
    assert {"transcriptionId", "status"} == set(schemas["Queued"]["required"])


class Elements(html.parser.HTMLParser):
    """Collects a page's tags and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag and its references."""
        self.tags.add(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action"}]


async def test_the_documentation_needs_nothing_from_elsewhere() -> None:
    """No script, nothing to load; every address and every status is on it."""
    service = api_service.MemoryService()
    answer = await get(service, "/docs")
    page = Elements()
    page.feed(answer.text)

    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert ["/openapi.json"] == page.references
    assert "url(" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for path, operations in app.build_app(service).openapi()["paths"].items():
        assert path in answer.text
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                assert parameter["name"] in answer.text


def test_the_documentation_shows_words_as_words() -> None:
    """What looks like HTML is text."""
    page = pages.reference(
        {
            "info": {"title": "<b>", "version": "1", "description": "a & b"},
            "paths": {"/<x>": {"get": {"description": "<script>", "responses": {"200": {"description": "<i>"}}}}},
        }
    )

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "a &amp; b" in page


def test_ids_are_as_long_as_the_contract_says() -> None:
    """The document and the contract agree."""
    document = app.build_app(api_service.MemoryService()).openapi()
    (tenant, call_id, *_) = document["paths"]["/v1/recordings/{tenant}/{call_id}"]["put"]["parameters"]

    assert {identity.MAX_ID_CHARS} == {each["schema"]["maxLength"] for each in (tenant, call_id)}


def test_the_page_about_the_api_names_every_request_and_every_problem() -> None:
    """`docs/api.md` is written by hand; what it leaves out would not exist for its readers."""
    page = (material.ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    document = app.build_app(api_service.MemoryService()).openapi()

    requests = {f"`{method.upper()} {path}`" for path, each in document["paths"].items() for method in each}
    told = {status for each in document["paths"].values() for one in each.values() for status in one["responses"]}
    assert {request for request in requests if request not in page} == set()
    rows = [row.split("|")[1] for row in page.partition("## Problems")[2].splitlines() if row.startswith("| ")]
    assert {status for status in told if status >= "400" and status not in " ".join(rows)} == set()
